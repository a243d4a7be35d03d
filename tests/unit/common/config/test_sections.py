from typing import Any

import pytest

from assay.config.document import Document
from assay.config.sections import joined, unwrap

SECTIONS = (("server",), ("server", "ratelimit"))


@pytest.mark.parametrize(
    "data",
    [
        {"server": {"a": 1, "ratelimit": {"x": True}}},
        {"server": [{"a": 1, "ratelimit": [{"x": True}]}]},
        {"server": [{"a": 1}, {"ratelimit": {"x": True}}]},
    ],
)
def test_lists_of_sections_become_one(data: dict[str, Any]) -> None:
    plain, faults = unwrap(Document("f", data), SECTIONS)
    assert plain == {"server": {"a": 1, "ratelimit": {"x": True}}}
    assert not faults


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ({"server": [{"a": 1}, {"a": 2}]}, "f: server: is given more than once"),
        ({"server": "x"}, "f: server: is a section: its keys stand in braces after it"),
        ({"server": {"ratelimit": True}}, "f: server.ratelimit: is a section: its keys stand in braces after it"),
    ],
)
def test_what_is_no_section_is_a_fault(data: dict[str, Any], fault: str) -> None:
    _, faults = unwrap(Document("f", data), SECTIONS)
    assert [str(one) for one in faults] == [fault]


def test_the_document_itself_stays_as_it_was() -> None:
    data: dict[str, Any] = {"server": [{"ratelimit": [{}]}]}
    unwrap(Document("f", data), SECTIONS)
    assert data == {"server": [{"ratelimit": [{}]}]}


def test_nothing_is_an_empty_section() -> None:
    assert joined(None) == {}
    assert joined([]) == {}
    assert joined([1]) is None
