"""Lifetimes that cannot be kept: an SVID never outlives the CA that signs it, and a CA signs until near its end."""

from assay.config.document import Document
from assay.config.duration import format_duration
from assay.config.fault import Fault
from assay_server.config.settings import ServerConfig

# A CA is followed by the next at 5/6 of its life or 7 days before its end, whichever is later (SPIRE's rule), so an
# SVID signed just before that has a sixth of the CA's life, or 7 days.
CA_SHARE = 6
MAX_SVID_TTL = 7 * 24 * 3600


def ttl_warnings(document: Document, config: ServerConfig) -> list[Fault]:
    """A warning for each default lifetime that SVIDs may fall short of."""
    longest = min(config.ca_ttl // CA_SHARE, MAX_SVID_TTL)
    given = {
        "default_x509_svid_ttl": config.default_x509_svid_ttl,
        "default_jwt_svid_ttl": config.default_jwt_svid_ttl,
        "agent_ttl": config.agent_ttl,
    }
    return [
        document.fault(
            ("server", key),
            f"{format_duration(ttl)} is too high for ca_ttl {format_duration(config.ca_ttl)}: SVIDs may be shorter; "
            f"{_remedy(ttl, longest)}",
        )
        for key, ttl in given.items()
        if ttl > longest
    ]


def _remedy(ttl: int, longest: int) -> str:
    lower = f"set it to {format_duration(longest)} or less"
    return lower if ttl > MAX_SVID_TTL else f"{lower}, or ca_ttl to {format_duration(ttl * CA_SHARE)} or more"
