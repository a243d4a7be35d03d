"""What the SPIFFE standards demand, as values."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Status = Literal["", "partly", "later", "never"]

LEVELS = frozenset({"MUST", "MUST NOT", "MUST*", "SHOULD", "SHOULD NOT", "SHOULD*", "MAY"})
ROLES = frozenset({
    "all", "agent", "broker", "broker server", "bundle client", "bundle endpoint", "client", "consumer of maps",
    "issuer", "operator", "producer of maps", "validator",
})  # fmt: skip
# In the order of the page.
PREFIXES = ("ID", "X509", "JWT", "WIT", "TDB", "FED", "WEP", "WAPI", "BEP", "BAPI", "STAB")
STATUSES: tuple[Status, ...] = ("partly", "later", "never")

KINDS = {
    "standard": "SPIRE is laxer than the standard, and the standard is followed",
    "stricter": "Stricter than SPIRE, and than the standard asks",
    "spire": "SPIRE's way is kept, because its peers, or those of Go's libraries, would break",
    "choice": "Where the standards leave a choice, or contradict themselves",
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row.

    Attributes:
        id: `STANDARD-SECTION-LETTER`.
        level: as the standard has it; a star marks what it says as plain fact.
        who: the roles it concerns.
        text: what is demanded, allowed or, for a NOT, ruled out.
        status: empty when tests show it all; `partly` when they show what exists; `later` and `never` have none.
        reason: why it is not tested in full; for `later`, the plan it waits for.
    """

    id: str
    level: str
    who: tuple[str, ...]
    text: str
    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class Standard:
    """One document of the SPIFFE standards; `prefix` begins the ids of its rows."""

    prefix: str
    title: str
    document: str
    stability: str
    requirements: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class Deviation:
    """One decision that somebody who knows the standard, or SPIRE, would not expect."""

    kind: str
    rows: tuple[str, ...]
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Conformance:
    """All that the folder says; `plans` has the text for each plan that a row may wait for."""

    standards: tuple[Standard, ...]
    plans: Mapping[str, str]
    deviations: tuple[Deviation, ...]

    def requirements(self) -> Iterator[Requirement]:
        for standard in self.standards:
            yield from standard.requirements
