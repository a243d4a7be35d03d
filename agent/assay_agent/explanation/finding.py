"""What is in the way of an identity, and what would mend it."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from assay.entry import Entry
from assay.selector import Selector


class Cause(Enum):
    """Why there is none; the values are for programs. Those that cost an operator least to mend come first."""

    ISSUED = "issued"
    PENDING = "svid-not-signed-yet"
    NOT_SYNCED = "entry-not-synced-yet"
    EXPIRED = "entry-expired"
    STORED = "entry-for-a-store"
    BANNED = "agent-banned"
    WRONG_PARENT = "wrong-parent"
    WITHHELD = "attestor-does-not-look"
    NO_ATTESTOR = "attestor-not-configured"
    ATTESTOR_FAILED = "attestor-failed"
    OTHER_VALUE = "selector-has-another-value"
    MISSING = "selector-missing"
    GONE = "process-gone"
    ELSEWHERE = "other-pid-namespace"
    NOT_RUNNING = "agent-not-running"
    NOT_ATTESTED = "agent-not-attested"
    AGENT_EXPIRED = "agent-svid-expired"
    SERVER_UNHEARD = "agent-not-synced"
    NO_ENTRY = "no-entry"


def shell_line(words: Iterable[str]) -> str:
    """A command on one line of printable characters: entries bring words of their own, and terminals obey some."""
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    # As bash and zsh read it.
    return "$'" + "".join(map(_escaped, word)) + "'"


def _escaped(character: str) -> str:
    if character.isprintable() and character not in "'\\":
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, in a phrase for people.

    `selector` is the one that the entry asks for, `instead` what the workload has of its kind.
    """

    cause: Cause
    text: str
    selector: Selector | None = None
    instead: tuple[Selector, ...] = ()


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do: commands to paste, lines for agent.conf, and what to think of first."""

    commands: tuple[tuple[str, ...], ...] = ()
    settings: str = ""
    note: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        """The commands as a shell takes them."""
        return tuple(map(shell_line, self.commands))


@dataclass(frozen=True, slots=True)
class Finding:
    """An entry with everything that keeps it from the workload, or what stands before all entries (`entry` None)."""

    faults: tuple[Fault, ...]
    entry: Entry | None = None
    remedy: Remedy = field(default_factory=Remedy)

    @property
    def cause(self) -> Cause:
        """The first fault's."""
        return self.faults[0].cause
