"""The journal on a real disk."""

from pathlib import Path

import pytest

from assay.errors import FailedPreconditionError, UnavailableError
from assay_agent.svidstore.journal import Journal
from assay_agent.svidstore.plan import Place

WEB = Place("disk", ("name:web", "uid:5"))


def test_it_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "j.json"
    journal = Journal(path)
    assert journal.held == {}
    journal.add("a", WEB)
    journal.add("b", WEB)
    journal.remove("a")
    assert Journal(path).held == journal.held == {"b": WEB}


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"a": 1}', b'{"a": {"store": 1, "target": []}}', b"\xff"])
def test_damage_is_a_refusal(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "j.json").write_bytes(content)
    with pytest.raises(FailedPreconditionError, match="is damaged"):
        Journal(tmp_path / "j.json")


def test_a_disk_that_does_not_take_it_changes_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "none" / "j.json")
    with pytest.raises(UnavailableError):
        journal.add("a", WEB)
    assert journal.held == {}
