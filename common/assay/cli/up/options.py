"""What `assay up` was asked for."""

from dataclasses import dataclass
from pathlib import Path

DEFAULT_STATE = Path(".assay")
DEFAULT_TRUST_DOMAIN = "example.org"


@dataclass(frozen=True, slots=True)
class Options:
    """`state` is absolute; without a `trust_domain` an existing folder keeps its own."""

    state: Path
    once: bool
    trust_domain: str | None
    log_level: str
