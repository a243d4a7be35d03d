import pytest

from assay.config.document import Document, KeyPath
from assay.config.notbuilt import NotBuilt, sift, warned

TABLE: dict[KeyPath, NotBuilt] = {
    ("s", "audit"): NotBuilt("no audit"),
    ("s", "mode"): NotBuilt("no modes", quiet=("", "never")),
    ("s", "x", "pipe"): warned("no pipes"),
    ("telemetry",): warned("no metrics"),
}


def test_keys_that_ask_for_something_are_faults_or_warnings_and_are_taken_out() -> None:
    data: dict[str, object] = {
        "s": {"audit": True, "mode": "auto", "x": {"pipe": "p", "kept": 1}},
        "telemetry": {"a": 1},
    }
    document = Document("f", data, {("s", "audit"): 3})
    sifted = sift(document, data, TABLE)
    assert [str(one) for one in sifted.faults] == ["f:3: s.audit: no audit", "f: s.mode: no modes"]
    assert [str(one) for one in sifted.warnings] == ["f: s.x.pipe: no pipes", "f: telemetry: no metrics"]
    assert sifted.data == {"s": {"x": {"kept": 1}}}
    assert data["telemetry"] == {"a": 1}


@pytest.mark.parametrize(
    "data",
    [
        {"s": {"audit": False}}, {"s": {"audit": "false"}}, {"s": {"mode": "never"}}, {"s": {"x": {"pipe": ""}}},
        {"telemetry": {}}, {"telemetry": []}, {}, {"s": None}, {"s": "text"}, {"s": {"x": 1}},
    ],
)  # fmt: skip
def test_keys_that_ask_for_nothing_are_passed_over(data: dict[str, object]) -> None:
    sifted = sift(Document("f", data), data, TABLE)
    assert not sifted.faults
    assert not sifted.warnings
