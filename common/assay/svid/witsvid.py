"""WIT-SVIDs as values (WIT-SVID sections 2 and 3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from assay.keymanager.base import SigningKey
from assay.spiffeid import SpiffeId


@dataclass(frozen=True, slots=True)
class WitSvid:
    """A WIT-SVID and what it says. Times are Unix seconds.

    `public_key` (PKIX DER) is the workload's, from `cnf`, and `algorithm` the one it proves possession by. `key` is
    the private key: whose SVID it is has it, who verifies one has None. The token alone proves nothing.
    """

    spiffe_id: SpiffeId
    expires_at: int
    public_key: bytes = field(repr=False)
    algorithm: str
    claims: Mapping[str, object]
    token: str = field(repr=False)
    key: SigningKey | None = field(default=None, repr=False, compare=False)
