"""Join tokens."""

from sqlalchemy import bindparam, delete, insert, select

from assay.errors import AlreadyExistsError
from assay_server.datastore.sql.connection import Connection
from assay_server.datastore.sql.schema import join_tokens
from assay_server.model import JoinToken

_INSERT = insert(join_tokens)
_GET = select(join_tokens.c.value, join_tokens.c.expires_at).where(join_tokens.c.value == bindparam("wanted"))
_DELETE = delete(join_tokens).where(join_tokens.c.value == bindparam("wanted"))
_PRUNE = delete(join_tokens).where(join_tokens.c.expires_at < bindparam("until"))


class SqlJoinTokens:
    """Implements base.JoinTokens."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(self, token: JoinToken) -> None:
        """Write it (AlreadyExistsError)."""
        if self._connection.row(_GET, {"wanted": token.value}):
            raise AlreadyExistsError("join token already exists")
        self._connection.run(_INSERT, {"value": token.value, "expires_at": token.expires_at})

    def get(self, value: str) -> JoinToken | None:
        """The token, which stays."""
        row = self._connection.row(_GET, {"wanted": value})
        return None if row is None else JoinToken(*row)

    def take(self, value: str) -> JoinToken | None:
        """Remove and return it: a token serves once."""
        token = self.get(value)
        if token is not None:
            self._connection.run(_DELETE, {"wanted": value})
        return token

    def prune(self, expired_before: int) -> int:
        """How many tokens that expired before that time (Unix seconds) were removed."""
        return self._connection.run(_PRUNE, {"until": expired_before})
