"""Node attestation by join token: whoever shows the token is the agent it was made for, once."""

from collections.abc import Awaitable, Callable

from assay.plugin.nodeattestor import AttestedNode
from assay_server.attestation.tokens import JoinTokens


class JoinTokenAttestor:
    """The payload is the token itself; there is no challenge, no selector, and no second time."""

    def __init__(self, tokens: JoinTokens) -> None:
        self._tokens = tokens

    async def attest(self, payload: bytes, challenge: Callable[[bytes], Awaitable[bytes]]) -> AttestedNode:  # noqa: ARG002 - the protocol's
        """Check the token; it is used up by the transaction that admits the node.

        Raises:
            InvalidArgumentError: no such token, used before, or expired.
        """
        return AttestedNode(await self._tokens.check(payload.decode(errors="replace")))
