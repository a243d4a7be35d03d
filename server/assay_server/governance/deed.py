"""Who does something to governed objects, and when."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deed:
    """`actor` as in events: a SPIFFE ID, `local:<uid>` or `assay:<part>`; `at` in Unix seconds."""

    actor: str
    at: int
