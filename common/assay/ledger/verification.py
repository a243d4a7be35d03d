"""Whether an export is the ledger that was signed, told from the export and the public key alone.

Lines are fed one after another and none is kept. After the first fault the rest is only looked through for what tells
one kind of fault from another: a record that is missing here and stands further down was not removed.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from assay.bundle.strictjson import parse_object
from assay.errors import InvalidArgumentError
from assay.ledger.checkpoint import Checkpoint, CheckpointKeys, ForeignSignatureError
from assay.ledger.export import MAX_LINE, Header, checkpoint_of, header_of
from assay.ledger.record import HASH, NOTHING, canonical, hash_of, without_hash
from assay.spiffeid import TrustDomain


class FaultKind(Enum):
    """What is wrong with an export."""

    ALTERED = "altered"
    REMOVED = "removed"
    REORDERED = "reordered"
    INSERTED = "inserted"
    CUT_OFF = "cut_off"
    TWO_HEADS = "two_heads"
    UNSIGNED = "unsigned"
    FOREIGN_SIGNATURE = "foreign_signature"
    FOREIGN_TRUST_DOMAIN = "foreign_trust_domain"


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing that is wrong: the number of the record (0: of none) and the line (from 1; 0: of none)."""

    kind: FaultKind
    record: int
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found: `records` from `first` to `last` that hold, and `checkpoints`, the last of `signed_at`."""

    header: Header
    records: int
    first: int
    last: int
    head: str
    checkpoints: int
    signed_at: int
    fault: Fault | None

    @property
    def whole(self) -> bool:
        """Whether it is without a fault, and nothing was left out."""
        return self.fault is None and not self.header.part


@dataclass(frozen=True, slots=True)
class Trusted:
    """What whoever verifies knows beforehand: the ledger's keys, checkpoints that were kept elsewhere, whose it is."""

    keys: CheckpointKeys
    held: tuple[str, ...] = ()
    trust_domain: TrustDomain | None = None


@dataclass(slots=True)
class _At:
    """How far the records hold."""

    expected: int
    previous: str
    records: int = 0
    signed: int = 0
    signed_at: int = 0
    checkpoints: int = 0
    owed: dict[int, Checkpoint] = field(default_factory=dict[int, Checkpoint])


class _Read(NamedTuple):
    """A record as far as the chain goes; `hash` is of what it says, `intact` whether that is the hash it names."""

    number: int
    previous: str
    hash: str
    intact: bool


def verify(lines: Iterable[bytes], trusted: Trusted) -> Verdict:
    """Read an export to its end.

    Raises:
        InvalidArgumentError: it is no export, or a held checkpoint is none or by a foreign key.
    """
    rest = iter(lines)
    verification = Verification(header_of(parse_object(next(rest, b""), "the first line")), trusted)
    for line in rest:
        verification.feed(line)
    return verification.finish()


class Verification:
    """One export in reading."""

    def __init__(self, header: Header, trusted: Trusted) -> None:
        self._header = header
        self._trusted = trusted
        self._line = 1
        self._last_malformed = False
        self._fault: Fault | None = None
        self._at = _At(header.first, NOTHING)
        held = [_held(token, trusted.keys) for token in trusted.held]
        self._begin(held)

    def feed(self, line: bytes) -> None:
        """Take the next line."""
        self._line += 1
        if self._fault is not None:
            self._look_further(line)
            return
        try:
            members = _parsed(line)
            token = checkpoint_of(members)
            read = _read(line, members) if token is None else None
        except ValueError:
            self._last_malformed = True
            self._blame(FaultKind.ALTERED, self._at.expected, f"line {self._line} is not JSON as a ledger has it")
            return
        if read is None:
            self._checkpoint(str(token), inline=True)
        elif self._header.part:
            self._partial(read)
        else:
            self._record(read)

    def finish(self) -> Verdict:
        """The verdict on what was fed."""
        at, last = self._at, self._at.expected - 1
        if self._last_malformed and self._fault and self._fault.line == self._line:
            self._fault = Fault(FaultKind.CUT_OFF, at.expected, self._line, "the export ends within a line")
        elif self._fault is None and not self._header.part:
            self._finish(last)
        return Verdict(
            self._header, at.records, self._header.first, last, at.previous, at.checkpoints, at.signed_at, self._fault
        )

    def _begin(self, held: list[Checkpoint]) -> None:
        header = self._header
        wanted = self._trusted.trust_domain
        if wanted is not None and header.trust_domain != wanted.name:
            text = f"the export is of the trust domain {header.trust_domain[:255]}, not of {wanted.name}"
            self._blame(FaultKind.FOREIGN_TRUST_DOMAIN, 0, text)
            return
        if header.part:
            return
        if header.anchor:
            self._checkpoint(header.anchor, anchor=True)
        elif header.first != 1:
            text = f"the export begins with record {header.first}, and no checkpoint says what came before"
            self._blame(FaultKind.REMOVED, 1, text)
        for each in held:
            if self._fault is None:
                self._owe(each)
        if header.checkpoint and self._fault is None:
            self._checkpoint(header.checkpoint)

    def _record(self, read: _Read) -> None:
        at, number = self._at, read.number
        if not read.intact:
            self._blame(FaultKind.ALTERED, at.expected, f"record {at.expected} is not what its hash was made of")
        elif number < at.expected:
            self._blame(FaultKind.INSERTED, number, f"line {self._line} is record {number} a second time")
        elif number > at.expected:
            many = number - 1 > at.expected
            gap = f"records {at.expected} to {number - 1} are" if many else f"record {at.expected} is"
            self._blame(FaultKind.REMOVED, at.expected, f"{gap} missing: line {self._line} is record {number}")
        elif read.previous != at.previous:
            self._blame_link()
        else:
            self._passed(read.hash)

    def _blame_link(self) -> None:
        at = self._at
        before = at.expected - 1
        self._blame(FaultKind.ALTERED, before, f"record {before} is not the one that record {at.expected} follows")

    def _passed(self, found: str) -> None:
        at = self._at
        at.previous, at.records, at.expected = found, at.records + 1, at.expected + 1
        due = at.owed.pop(at.expected - 1, None)
        if due is not None:
            self._compare(due)

    def _partial(self, read: _Read) -> None:
        """A record of an export that leaves others out: it can only be held against its own hash."""
        at, number = self._at, read.number
        if not read.intact:
            self._blame(FaultKind.ALTERED, number, f"line {self._line} is not the record that its hash was made of")
        elif number < at.expected:
            self._blame(FaultKind.REORDERED, number, f"record {number} stands after record {at.expected - 1}")
        else:
            at.previous, at.records, at.expected = read.hash, at.records + 1, number + 1

    def _checkpoint(self, token: str, *, inline: bool = False, anchor: bool = False) -> None:
        at = self._at
        try:
            said = self._trusted.keys.verified(token)
        except ForeignSignatureError as error:
            text = f"a checkpoint is not signed by the ledger's key: {error.message}"
            self._blame(FaultKind.FOREIGN_SIGNATURE, at.expected - 1, text)
            return
        except InvalidArgumentError as error:
            self._blame(FaultKind.ALTERED, at.expected - 1, f"a checkpoint cannot be read: {error.message}")
            return
        if anchor:
            self._anchor(said)
        elif self._ours(said) and inline and said.count < at.expected - 1:
            text = f"the checkpoint of record {said.count} stands after record {at.expected - 1}"
            self._blame(FaultKind.REORDERED, said.count, text)
        elif self._fault is None:
            self._owe(said)

    def _anchor(self, said: Checkpoint) -> None:
        if not self._ours(said):
            return
        if said.count != self._header.first - 1:
            text = f"the export begins with record {self._header.first}, after a checkpoint of record {said.count}"
            self._blame(FaultKind.REMOVED, said.count + 1, text)
            return
        at = self._at
        at.previous, at.signed, at.signed_at, at.checkpoints = said.head, said.count, said.at, 1

    def _owe(self, said: Checkpoint) -> None:
        """Hold it against its record now, or when that comes."""
        at = self._at
        if not self._ours(said) or said.count < at.expected - 1:
            return  # what lies before the first record cannot be looked at
        other = at.owed.get(said.count)
        if other is not None and other.head != said.head:
            self._two_heads(said.count, f"two checkpoints of record {said.count} name two hashes")
        elif said.count == at.expected - 1:
            self._compare(said)
        else:
            at.owed[said.count] = said

    def _compare(self, said: Checkpoint) -> None:
        at = self._at
        if said.head != at.previous:
            since = (
                f"one of the records {at.signed + 1} to {said.count} is" if said.count > at.signed else "the anchor is"
            )
            self._two_heads(at.signed + 1, f"{since} not the one that was signed")
            return
        at.checkpoints += said.count > at.signed
        at.signed, at.signed_at = said.count, max(said.at, at.signed_at)

    def _two_heads(self, number: int, text: str) -> None:
        self._blame(FaultKind.TWO_HEADS, number, text)

    def _ours(self, said: Checkpoint) -> bool:
        if said.trust_domain.name == self._header.trust_domain:
            return True
        text = f"a checkpoint is of {said.trust_domain.name}, the export of {self._header.trust_domain[:255]}"
        self._blame(FaultKind.FOREIGN_TRUST_DOMAIN, self._at.expected - 1, text)
        return False

    def _finish(self, last: int) -> None:
        at = self._at
        if at.owed:
            count = max(at.owed)
            text = f"record {last} is the last here, and a checkpoint says that there are {count}"
            self._blame(FaultKind.CUT_OFF, last + 1, text)
        elif at.signed < last:
            text = f"no checkpoint says that record {at.signed + 1} and those after it are the ledger's"
            self._blame(FaultKind.UNSIGNED, at.signed + 1, text)

    def _blame(self, kind: FaultKind, record: int, text: str) -> None:
        self._fault = Fault(kind, record, self._line, text)

    def _look_further(self, line: bytes) -> None:
        """Find out whether the record that was expected stands further down."""
        fault, at = self._fault, self._at
        if fault is None or fault.kind not in {FaultKind.ALTERED, FaultKind.REMOVED}:
            return
        try:
            read = _read(line, _parsed(line))
        except ValueError:
            return
        if not read.intact or (read.number, read.previous) != (at.expected, at.previous):
            return
        if fault.kind is FaultKind.REMOVED:
            text = f"record {at.expected} stands in line {self._line}, after others that follow it"
            self._fault = Fault(FaultKind.REORDERED, at.expected, fault.line, text)
        else:
            text = f"line {fault.line} was put in before record {at.expected}, which is line {self._line}"
            self._fault = Fault(FaultKind.INSERTED, at.expected, fault.line, text)


def _held(token: str, keys: CheckpointKeys) -> Checkpoint:
    try:
        return keys.verified(token)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"the checkpoint that was kept: {error.message}") from None


def _parsed(line: bytes) -> dict[str, Any]:
    """The members of a line; ValueError if it is no object of JSON."""
    if len(line) > MAX_LINE:
        raise ValueError("too long")
    try:
        members = json.loads(line.decode())
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(members, dict):
        raise ValueError("no object")  # noqa: TRY004 - one kind of fault for the reader
    return members  # pyright: ignore[reportUnknownVariableType]


def _read(line: bytes, members: dict[str, Any]) -> _Read:
    """The record that these are; ValueError if they are none."""
    own = members.get(HASH)
    found = hash_of(line.strip().replace(f'"{HASH}":"{own}",'.encode(), b"", 1))
    if found != own:
        # Not as it was written: altered, or laid out anew by another program, which may have left something out that
        # is there twice.
        body, _ = without_hash(_members(line, "line"))
        found = hash_of(canonical(body))
    number, previous = members.get("number"), members.get("previous")
    if type(number) is not int or type(previous) is not str:
        raise ValueError("no record")
    return _Read(number, previous, found, found == own)


def _members(line: bytes, what: str) -> Mapping[str, Any]:
    try:
        return parse_object(line, what)
    except InvalidArgumentError as error:
        raise ValueError(error.message) from None
