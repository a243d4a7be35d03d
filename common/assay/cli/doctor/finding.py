"""What one check found."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How it stands; SKIPPED is for what could not be looked at."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """The check's name, such as `agent socket`; what was seen; and what to do next, where there is something to do.

    None of the texts holds a secret.
    """

    check: str
    status: Status
    seen: str
    advice: str = ""

    @property
    def failed(self) -> bool:
        """Whether something does not work."""
        return self.status is Status.FAILED


def ok(check: str, seen: str) -> Finding:
    """All is well."""
    return Finding(check, Status.OK, seen)


def warning(check: str, seen: str, advice: str) -> Finding:
    """It works, and may not for long or not as well as it could."""
    return Finding(check, Status.WARNING, seen, advice)


def failed(check: str, seen: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(check, Status.FAILED, seen, advice)


def skipped(check: str, why: str, advice: str = "") -> Finding:
    """It could not be looked at."""
    return Finding(check, Status.SKIPPED, why, advice)
