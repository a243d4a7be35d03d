# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""Every way to tamper with an export is found, and the first record that is not as it was is named."""

import json
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.errors import InvalidArgumentError
from assay.ledger.checkpoint import CheckpointKeys
from assay.ledger.export import Header, checkpoint_line
from assay.ledger.record import canonical, hash_of, record_line
from assay.ledger.verification import FaultKind, Trusted, verify

Lines = list[bytes]


def fault_of(verdict: Any) -> tuple[FaultKind, int]:
    assert verdict.fault is not None
    assert not verdict.whole
    return verdict.fault.kind, verdict.fault.record


def header(line: bytes, **changes: Any) -> bytes:
    return json.dumps({**json.loads(line), **changes}).encode()


def rehashed(line: bytes, **changes: Any) -> bytes:
    """A record with other contents and a hash that fits."""
    record = {**json.loads(line), **changes}
    record.pop("hash")
    body = canonical(record)
    return record_line(body.decode(), hash_of(body)).encode() + b"\n"


def token_of(line: bytes) -> str:
    token: str = json.loads(line)["checkpoint"]
    return token


def test_an_export_that_nobody_touched_is_whole(ledger: Any, lines: Lines) -> None:
    verdict = ledger.verdict(lines, trust_domain="example.org")
    assert verdict.whole
    assert (verdict.records, verdict.first, verdict.last, verdict.checkpoints) == (10, 1, 10, 2)
    assert (verdict.signed_at, verdict.head) == (1010, json.loads(lines[11])["hash"])


def test_laid_out_anew_by_another_program_it_is_still_whole(ledger: Any, lines: Lines) -> None:
    spaced = [json.dumps(dict(reversed(json.loads(line).items())), indent=None).encode() for line in lines]
    assert spaced != lines
    assert ledger.verdict(spaced).whole


def test_a_ledger_without_records_is_whole(ledger: Any) -> None:
    line = Header("example.org", "incarnation", 1, 0, 2000).line().encode()
    assert ledger.verdict([line]).whole


@pytest.mark.parametrize("at", [1, 4, 5, 9, 11])
def test_an_altered_record_is_named(ledger: Any, lines: Lines, at: int) -> None:
    number = json.loads(lines[at])["number"]
    lines[at] = lines[at].replace(b'"allow"', b'"deny"')
    assert fault_of(ledger.verdict(lines)) == (FaultKind.ALTERED, number)


def test_an_altered_record_with_a_hash_that_fits_is_named_by_the_one_that_follows(ledger: Any, lines: Lines) -> None:
    lines[3] = rehashed(lines[3], subject="dec_other")
    assert fault_of(ledger.verdict(lines)) == (FaultKind.ALTERED, 3)


@pytest.mark.parametrize("twice", [b'{"type":"exception",', b'{"details":{},'])
def test_a_member_that_is_there_twice_is_no_second_meaning(ledger: Any, lines: Lines, twice: bytes) -> None:
    lines[4] = twice + lines[4][1:]
    assert fault_of(ledger.verdict(lines)) == (FaultKind.ALTERED, 4)


@pytest.mark.parametrize(("gone", "first"), [((1,), 1), ((4,), 4), ((8, 9), 7)])
def test_removed_records_are_named(ledger: Any, lines: Lines, gone: tuple[int, ...], first: int) -> None:
    left = [line for at, line in enumerate(lines) if at not in gone]
    assert fault_of(ledger.verdict(left)) == (FaultKind.REMOVED, first)


def test_reordered_records_are_named(ledger: Any, lines: Lines) -> None:
    lines[2], lines[4] = lines[4], lines[2]
    assert fault_of(ledger.verdict(lines)) == (FaultKind.REORDERED, 2)


def test_a_checkpoint_in_another_place_is_named(ledger: Any, lines: Lines) -> None:
    lines[6], lines[7] = lines[7], lines[6]
    assert fault_of(ledger.verdict(lines)) == (FaultKind.REORDERED, 5)


def test_inserted_records_are_named(ledger: Any, lines: Lines) -> None:
    assert fault_of(ledger.verdict([*lines[:4], lines[2], *lines[4:]])) == (FaultKind.INSERTED, 2)
    forged = rehashed(lines[4], previous=json.loads(lines[3])["hash"], subject="dec_forged")
    assert fault_of(ledger.verdict([*lines[:4], forged, *lines[4:]])) == (FaultKind.INSERTED, 4)
    clumsy = lines[4].replace(b"dec_4", b"dec_x")
    assert fault_of(ledger.verdict([*lines[:4], clumsy, *lines[4:]])) == (FaultKind.INSERTED, 4)


@pytest.mark.parametrize("kept", [1, 5, 6, 7, 11])
def test_an_end_that_is_cut_off_is_named(ledger: Any, lines: Lines, kept: int) -> None:
    records = sum(b'"number"' in line for line in lines[:kept])
    assert fault_of(ledger.verdict(lines[:kept])) == (FaultKind.CUT_OFF, records + 1)


def test_an_end_within_a_line_is_cut_off(ledger: Any, lines: Lines) -> None:
    assert fault_of(ledger.verdict([*lines[:8], lines[8][:40]])) == (FaultKind.CUT_OFF, 7)


def test_cut_to_an_older_checkpoint_only_one_that_was_kept_tells(ledger: Any, lines: Lines) -> None:
    shorter = [header(lines[0], checkpoint=token_of(lines[6]), last=5), *lines[1:7]]
    assert ledger.verdict(shorter).whole
    assert fault_of(ledger.verdict(shorter, token_of(lines[12]))) == (FaultKind.CUT_OFF, 6)


def test_records_behind_the_last_checkpoint_are_nobodys(ledger: Any, lines: Lines) -> None:
    unsigned = [header(lines[0], checkpoint=token_of(lines[6])), *lines[1:12]]
    assert fault_of(ledger.verdict(unsigned)) == (FaultKind.UNSIGNED, 6)
    naked = [header(lines[0], checkpoint=""), *(line for line in lines[1:] if b'"checkpoint"' not in line)]
    assert fault_of(ledger.verdict(naked)) == (FaultKind.UNSIGNED, 1)


def test_a_ledger_written_anew_has_two_heads(ledger: Any, lines: Lines) -> None:
    """All hashes fit, from record 7 on: only what was signed tells."""
    anew = ledger.lines(10, 5, word="other", changed=7)
    without = [line for line in anew[1:] if b'"checkpoint"' not in line]
    kept = [lines[0], *without[:5], lines[6], *without[5:], lines[12]]
    verdict = ledger.verdict(kept)
    assert fault_of(verdict) == (FaultKind.TWO_HEADS, 6)
    assert "one of the records 6 to 10" in verdict.fault.text
    assert fault_of(ledger.verdict(anew, token_of(lines[12]))) == (FaultKind.TWO_HEADS, 10)


def test_two_checkpoints_of_one_record_are_two_heads(ledger: Any, lines: Lines) -> None:
    other = ledger.token(10, json.loads(lines[11])["previous"])
    assert fault_of(ledger.verdict(lines, other))[0] is FaultKind.TWO_HEADS


def test_a_foreign_signature_is_named(ledger: Any, foreign: Any, lines: Lines) -> None:
    lines[6] = checkpoint_line(foreign.token(5, json.loads(lines[5])["hash"])).encode()
    assert fault_of(ledger.verdict(lines)) == (FaultKind.FOREIGN_SIGNATURE, 5)
    assert fault_of(ledger.verdict(foreign.lines(3, 3)))[0] is FaultKind.FOREIGN_SIGNATURE


def test_another_trust_domains_export_is_named(ledger: Any, foreign: Any, lines: Lines) -> None:
    assert fault_of(ledger.verdict(foreign.lines(3, 3), trust_domain="example.org")) == (
        FaultKind.FOREIGN_TRUST_DOMAIN, 0,
    )  # fmt: skip
    lines[0] = header(lines[0], trust_domain="other.org")
    assert fault_of(ledger.verdict(lines))[0] is FaultKind.FOREIGN_TRUST_DOMAIN
    assert fault_of(ledger.verdict([lines[0]], token_of(lines[12])))[0] is FaultKind.FOREIGN_TRUST_DOMAIN


def test_what_was_pruned_is_vouched_for_by_the_checkpoint_before(ledger: Any, lines: Lines) -> None:
    later = [header(lines[0], first=6, anchor=token_of(lines[6])), *lines[7:]]
    verdict = ledger.verdict(later, token_of(lines[6]), token_of(lines[12]))
    assert verdict.whole
    assert (verdict.first, verdict.records, verdict.checkpoints) == (6, 5, 2)
    unanchored = [header(lines[0], first=6), *lines[7:]]
    assert fault_of(ledger.verdict(unanchored)) == (FaultKind.REMOVED, 1)
    misplaced = [header(lines[0], first=7, anchor=token_of(lines[6])), *lines[8:]]
    assert fault_of(ledger.verdict(misplaced)) == (FaultKind.REMOVED, 6)


def test_a_part_says_so_and_only_its_records_are_looked_at(ledger: Any, lines: Lines) -> None:
    part = [header(lines[0], part={"task_id": "tsk_1"}, checkpoint=""), lines[2], lines[5], lines[9]]
    verdict = ledger.verdict(part)
    assert (verdict.fault, verdict.whole, verdict.records) == (None, False, 3)
    assert fault_of(ledger.verdict([part[0], lines[2].replace(b"allow", b"deny_")])) == (FaultKind.ALTERED, 2)
    assert fault_of(ledger.verdict([part[0], lines[5], lines[2]])) == (FaultKind.REORDERED, 2)


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b"\xff", b'{"assay_ledger": 2}', b'{"assay_ledger": 1}', b"[" * 100_000, b'{"number": 1}'],
)
def test_what_is_no_export_is_refused(ledger: Any, line: bytes) -> None:
    with pytest.raises(InvalidArgumentError):
        ledger.verdict([line])


@pytest.mark.parametrize(
    "line", [b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"number":' + b"9" * 5000 + b"}"]
)
def test_a_line_that_is_no_record_is_an_altered_one(ledger: Any, lines: Lines, line: bytes) -> None:
    assert fault_of(ledger.verdict([*lines[:3], line, *lines[4:]])) == (FaultKind.ALTERED, 3)


def test_a_checkpoint_that_was_kept_has_to_be_one(ledger: Any, foreign: Any, lines: Lines) -> None:
    for held in ("", "a.b.c", foreign.token(1, "sha-256:x")):
        with pytest.raises(InvalidArgumentError, match="the checkpoint that was kept"):
            ledger.verdict(lines, held)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), edits=st.integers(1, 3))
def test_no_edit_of_what_is_signed_goes_unnoticed(ledger: Any, seed: int, edits: int) -> None:
    """Whatever is done to lines between header and end: the export is no longer whole, or says what it said."""
    lines, rng = ledger.lines(10, 5), random.Random(seed)  # noqa: S311 - where to edit
    before, records = list(lines), [json.loads(line) for line in lines]
    for _ in range(edits):
        at = rng.randrange(1, len(lines))
        match rng.randrange(5):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, lines[rng.randrange(1, len(lines))])
            case 2:
                other = rng.randrange(1, len(lines))
                lines[at], lines[other] = lines[other], lines[at]
            case 3:
                where = rng.randrange(len(lines[at]))
                lines[at] = lines[at][:where] + bytes([rng.randrange(32, 127)]) + lines[at][where + 1 :]
            case _:
                del lines[at:]
        if len(lines) == 1:
            break
    verdict = ledger.verdict(lines)
    if verdict.fault is None:
        # A checkpoint that is gone, or there twice, takes nothing from the records.
        said = [json.loads(line) for line in lines]
        assert [one for one in said if "number" in one] == [one for one in records if "number" in one]
        assert before[0] == lines[0]


def test_without_a_key_nothing_is_believed(lines: Lines) -> None:
    verdict = verify(lines, Trusted(CheckpointKeys([])))
    assert fault_of(verdict)[0] is FaultKind.FOREIGN_SIGNATURE
