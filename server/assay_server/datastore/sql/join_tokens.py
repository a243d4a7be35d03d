"""Join tokens."""

from assay.errors import AlreadyExistsError
from assay_server.datastore.sql.connection import Connection
from assay_server.datastore.sql.text import join_tokens as sql
from assay_server.model import JoinToken


class SqlJoinTokens:
    """Implements base.JoinTokens."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, token: JoinToken) -> None:
        """Write it (AlreadyExistsError)."""
        if self._connection.row(sql.GET, {"wanted": token.value}):
            raise AlreadyExistsError("join token already exists")
        self._connection.run(sql.INSERT, {"value": token.value, "expires_at": token.expires_at})

    def get(self, value: str) -> JoinToken | None:
        """The token, which stays."""
        row = self._connection.row(sql.GET, {"wanted": value})
        return None if row is None else JoinToken(*row)

    def take(self, value: str) -> JoinToken | None:
        """Remove and return it: a token serves once."""
        token = self.get(value)
        if token is not None:
            self._connection.run(sql.DELETE, {"wanted": value})
        return token

    def prune(self, expired_before: int) -> int:
        """How many tokens that expired before that time (Unix seconds) were removed."""
        return self._connection.run(sql.PRUNE, {"until": expired_before})
