"""JWT-SVIDs as values (JWT-SVID sections 2 and 3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from assay.spiffeid import SpiffeId


@dataclass(frozen=True, slots=True)
class JwtSvid:
    """A JWT-SVID and what it says. Times are Unix seconds. The token is a secret: it never shows in a repr."""

    spiffe_id: SpiffeId
    audience: tuple[str, ...]
    expires_at: int
    claims: Mapping[str, object]
    token: str = field(repr=False)
