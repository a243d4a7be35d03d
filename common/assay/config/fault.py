"""What is wrong with a configuration: every fault at once, each with its place, key and reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from assay.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong. `where` is `FILE:LINE`, `FILE` or the flag; `key` is dotted and empty for the whole file.

    The reason never repeats a value that may be secret.
    """

    where: str
    key: str
    reason: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.key, self.reason) if part)


class ConfigError(InvalidArgumentError):
    """A configuration that cannot be used, with all its faults; its text is one line a fault."""

    def __init__(self, faults: Sequence[Fault], *, hint: str = "") -> None:
        super().__init__("\n".join(map(str, faults)), hint=hint)
        self.faults = tuple(faults)
