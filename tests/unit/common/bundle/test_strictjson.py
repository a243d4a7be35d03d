import pytest

from assay.bundle.strictjson import parse_object
from assay.errors import InvalidArgumentError


def test_reads_an_object() -> None:
    assert parse_object(b'{"a": [1, {"b": 2}], "c": null}', "text") == {"a": [1, {"b": 2}], "c": None}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "a": 2}', 'text has member "a" twice'),
        ('{"a": [{"b": 1, "b": 1}]}', 'text has member "b" twice'),
        ("[]", "text is not a JSON object"),
        ("null", "text is not a JSON object"),
        ("", "text is not JSON"),
        ("{} trailing", "text is not JSON"),
        ('{"a": NaN}', "text has the number NaN"),
        ('{"a": -Infinity}', "text has the number -Infinity"),
        ("[" * 100_000, "text is not JSON"),
    ],
)
@pytest.mark.spec("TDB-6.3-a")
def test_refuses(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        parse_object(text, "text")


@pytest.mark.parametrize("data", [b'{"a": "\xff"}', "{}".encode("utf-8-sig"), "{}".encode("utf-16")])
def test_refuses_bytes_that_are_not_utf_8(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="text is not JSON"):
        parse_object(data, "text")
