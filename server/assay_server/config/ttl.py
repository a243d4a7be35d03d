"""Lifetimes that cannot be kept: an SVID never outlives the CA that signs it, and a CA signs until near its end."""

from assay.config.document import Document
from assay.config.duration import format_duration
from assay.config.fault import Fault
from assay_server.config.settings import ServerConfig
from assay_server.model.lifetime import ACTIVATION_CAP, ACTIVATION_SHARE, safe_ttl


def ttl_warnings(document: Document, config: ServerConfig) -> list[Fault]:
    """A warning for each default lifetime that SVIDs may fall short of."""
    longest = safe_ttl(config.ca_ttl)
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
    return lower if ttl > ACTIVATION_CAP else f"{lower}, or ca_ttl to {format_duration(ttl * ACTIVATION_SHARE)} or more"
