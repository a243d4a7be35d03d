"""Attested nodes and the tokens that admit them."""

from dataclasses import dataclass

from assay.selector import Selector
from assay.spiffeid import SpiffeId


@dataclass(frozen=True, slots=True)
class Node:
    """An attested agent. Serial numbers are decimal text; empty ones mean banned.

    `new_serial` and `new_expires_at` hold a renewed SVID until the agent first calls with it.
    Times are Unix seconds.
    """

    spiffe_id: SpiffeId
    attestation_type: str
    serial: str
    expires_at: int
    new_serial: str = ""
    new_expires_at: int = 0
    can_reattest: bool = False
    selectors: tuple[Selector, ...] = ()
    agent_version: str = ""

    @property
    def banned(self) -> bool:
        """Whether the node may neither call nor attest again."""
        return not self.serial and not self.new_serial


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A secret that admits one agent once, until `expires_at` (Unix seconds)."""

    value: str
    expires_at: int
