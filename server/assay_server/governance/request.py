"""What callers ask of the token issuer."""

from dataclasses import dataclass
from enum import Enum

from assay.spiffeid import SpiffeId


class Binding(Enum):
    """How a token names the key that whoever presents it has to hold (RFC 7800, RFC 8705, RFC 9449)."""

    CERTIFICATE = "x5t#S256"
    DPOP = "jkt"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A key by its thumbprint: of the certificate, or of the JWK (RFC 7638); base64url."""

    binding: Binding
    thumbprint: str

    def claim(self) -> dict[str, str]:
        """`cnf`."""
        return {self.binding.value: self.thumbprint}


@dataclass(frozen=True, slots=True)
class CredentialRequest:
    """A token for one audience within a task; without a `task_id` it is the one active task that covers the audience.

    `instance` is the caller's attested or authenticated SPIFFE ID, never what it says of itself. Without `actions`, all
    that the task may do there. `ends_at` are ends (Unix seconds) that the caller's own credentials set.
    """

    task_id: str
    instance: SpiffeId
    audience: str
    confirmation: Confirmation | None
    actions: tuple[str, ...] = ()
    requested_ttl: int = 0
    ends_at: tuple[int, ...] = ()
    kind: str = "at+jwt"
