"""Taking up where the last run, ours or SPIRE's, left off."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from assay.crypto.keys import accepted, same_key
from assay.errors import AssayError, FailedPreconditionError
from assay.keymanager.base import KeyManager, SigningKey
from assay.spiffeid import TrustDomain
from assay.svid import X509Svid
from assay_agent.attestation.decision import SLOTS, expired
from assay_agent.attestation.identity import NodeSvid
from assay_agent.storage.data import AgentData

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was found: the SVID if it can be used, and the slot of the key it has, used or not."""

    node: NodeSvid | None
    slot: str | None


async def recover(data: AgentData, keys: KeyManager, trust_domain: TrustDomain, now: float) -> Recovered:
    """Put SVID and key together.

    Raises:
        FailedPreconditionError: the SVID is of another trust domain.
    """
    found = {slot: key for slot in SLOTS if (key := await keys.get(slot)) is not None}
    svid = _parse(data)
    if svid is None:
        if found:
            log.warning("Keys recovered, but no SVID found. Generating new keypair")
        return Recovered(None, None)
    _check_trust_domain(svid, trust_domain)
    slot = _slot_of(svid, found)
    if slot is None:
        missing = "no SVID key found" if found else "no keys found"
        log.warning(f"SVID recovered, but {missing}. Generating new keypair")  # noqa: G004 - SPIRE's two messages
        return Recovered(None, None)
    if expired(svid.not_after, now):
        log.warning("SVID key recovered, but SVID is expired. Generating new keypair", expiry=_iso(svid.not_after))
        return Recovered(None, slot)
    return Recovered(NodeSvid(svid, found[slot], slot, data.reattestable), slot)


def _parse(data: AgentData) -> X509Svid | None:
    if not data.svid:
        log.debug("No pre-existing agent SVID found. Will perform node attestation")
        return None
    try:
        return X509Svid.parse(data.svid)
    except AssayError as error:
        log.warning("Could not get agent SVID from path", error=str(error))
        return None


def _slot_of(svid: X509Svid, keys: Mapping[str, SigningKey]) -> str | None:
    public = accepted(svid.leaf.public_key())
    return next((slot for slot, key in keys.items() if same_key(public, key.public_key())), None)


def _check_trust_domain(svid: X509Svid, trust_domain: TrustDomain) -> None:
    if not svid.spiffe_id.member_of(trust_domain):
        raise FailedPreconditionError(
            f'stored agent SVID is of trust domain "{svid.spiffe_id.trust_domain}", not of "{trust_domain}"',
            hint="set trust_domain as it was, or give this agent an empty data_dir",
        )


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
