"""Which keys sign tokens, as the own bundle tells: what was signed by one that is tainted or gone is not given out."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from dataclasses import dataclass

from assay.bundle import JwtAuthority, WitAuthority

# What no header of ours is longer than; more of a token is not looked at.
_MOST_HEADER = 4096


def key_id(token: str) -> str:
    """The `kid` in the header of a compact JWS, of which nothing is verified; empty if there is none to be read."""
    header = token[:_MOST_HEADER].partition(".")[0]
    try:
        found = json.loads(urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""


@dataclass(frozen=True, slots=True)
class Signers:
    """The keys of a bundle by their IDs: those that are sound, and those that are tainted."""

    sound: frozenset[str] = frozenset()
    tainted: frozenset[str] = frozenset()

    @classmethod
    def of(cls, authorities: Iterable[JwtAuthority | WitAuthority]) -> "Signers":
        """Those of a bundle."""
        listed = tuple(authorities)
        tainted = frozenset(one.key_id for one in listed if one.tainted)
        return cls(frozenset(one.key_id for one in listed) - tainted, tainted)

    def lost_since(self, before: "Signers") -> frozenset[str]:
        """Those to be done with: all that are tainted, and what was sound before and has left the bundle."""
        return self.tainted | (before.sound - self.sound)
