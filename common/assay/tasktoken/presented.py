"""What a caller shows beside its token, to prove that it holds the token's key."""

from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Certificate:
    """The connection's client certificate (DER), whose key the handshake proved (RFC 8705)."""

    der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DpopProof:
    """A DPoP proof (RFC 9449), with the request that it has to be for.

    `url` is this service's own name for what is asked for, from its configuration: never from the request's host.
    """

    proof: str = field(repr=False)
    method: str
    url: str


Presented: TypeAlias = Certificate | DpopProof | None
"""None: nothing beside the token."""
