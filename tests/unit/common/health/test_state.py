"""What single states are, and what all of them come to, in SPIRE's JSON."""

import pytest

from assay.health.state import State, of_error, report

WELL = of_error("x_err", "")


@pytest.mark.parametrize(
    ("live", "ready", "fault"),
    [
        (True, True, ""), (False, True, "subsystem is not live"), (True, False, "subsystem is not ready"),
        (False, False, "subsystem is not live or ready"),
    ],
)  # fmt: skip
def test_a_fault_is_told_in_spires_words(live: bool, ready: bool, fault: str) -> None:
    assert State(live, ready).fault == fault


def test_all_is_well_when_every_part_is() -> None:
    states = {"server": WELL, "catalog.datastore": WELL}
    for aspect in ("live", "ready"):
        assert report(states, aspect) == (True, b'{"catalog.datastore":{},"server":{}}\n')


def test_one_part_that_fails_is_named_with_its_reason() -> None:
    states = {"foo": State(False, True, {"err": "live fails"}), "bar": State(True, False, {}, {"err": "ready fails"})}
    assert report(states, "live") == (False, b'{"bar":{},"foo":{"err":"live fails"}}\n')
    assert report(states, "ready") == (False, b'{"bar":{"err":"ready fails"},"foo":{}}\n')


def test_a_part_that_nobody_looked_at_is_not_well() -> None:
    assert report({"server": None}, "live") == (False, b'{"server":null}\n')


def test_text_is_escaped_as_go_does_it() -> None:
    states = {"a": of_error("err", 'é <b> & "q"\u2028')}
    assert report(states, "ready")[1].decode() == '{"a":{"err":"é \\u003cb\\u003e \\u0026 \\"q\\"\\u2028"}}\n'
