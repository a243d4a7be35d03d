"""The agent's end of join_token: whoever holds the token is the node, once."""

from dataclasses import dataclass, field
from pathlib import Path

from assay.errors import AssayError, FailedPreconditionError, InvalidArgumentError
from assay.plugin.nodeattestor import AgentConversation

NAME = "join_token"


class JoinTokenAttestor:
    """Sends a token, or the content of a file that is read at each attestation."""

    type = NAME

    def __init__(self, token: str = "", token_file: Path | None = None) -> None:
        self._token = token
        self._file = token_file

    async def begin(self) -> AgentConversation:
        """Start over.

        Raises:
            AssayError: there is no token, or its file cannot be read.
        """
        token = self._token or self._read()
        if not token:
            raise InvalidArgumentError("join token was not provided", hint="set join_token or join_token_file")
        return _Token(token.encode())

    def _read(self) -> str:
        if self._file is None:
            return ""
        try:
            return self._file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise FailedPreconditionError(f"unable to read join token file: {error}") from error


@dataclass(frozen=True, slots=True)
class _Token:
    payload: bytes = field(repr=False)

    async def answer(self, challenge: bytes) -> bytes:
        """No challenge belongs to this attestor."""
        del challenge
        raise AssayError("nodeattestor(join_token): server issued unexpected challenge")
