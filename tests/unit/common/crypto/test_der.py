from datetime import UTC, datetime

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from assay.crypto import der
from assay.errors import InvalidArgumentError
from assay.testing.authority import Ca


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_what_was_joined_is_cut_apart(contents: list[bytes]) -> None:
    parts = tuple(der.element(der.OCTET_STRING, one) for one in contents)
    assert der.split(b"".join(parts)) == parts
    assert [der.contents(part) for part in parts] == contents


@pytest.mark.parametrize("size", [0, 127, 128, 255, 256, 65535, 65536])
def test_lengths_take_as_many_octets_as_they_need(size: int) -> None:
    part = der.element(der.SEQUENCE, b"x" * size)
    assert der.split(part) == (part,)
    assert len(part) == size + (2 if size < 128 else 3 if size < 256 else 4 if size < 65536 else 5)


def test_cuts_a_chain_apart() -> None:
    chain = tuple(Ca.create(name).der for name in "abc")
    assert der.split(b"".join(chain)) == chain


@pytest.mark.parametrize(
    "data", [b"\x30", b"\x30\x01", b"\x30\x82\x01", b"\x30\x80\x00\x00", b"\x30\x00\x30", b"\x30\x84\xff\xff\xff\xff"]
)
def test_refuses_what_ends_too_early(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="cut short"):
        der.split(data)


@given(st.integers(min_value=0, max_value=2**160))
def test_integers_are_never_read_as_negative(value: int) -> None:
    encoded = der.contents(der.integer(value))
    assert int.from_bytes(encoded, "big", signed=True) == value
    assert len(encoded) == 1 or encoded[0] or encoded[1] & 0x80  # no octet too many


@pytest.mark.parametrize("dotted", ["2.5.29.17", "1.2.840.113549.1.1.11", "1.3.6.1.5.5.7.3.1", "2.999.3"])
def test_object_identifiers_are_those_of_another_library(dotted: str) -> None:
    usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(dotted)])
    assert usage.public_bytes() == der.sequence(der.object_identifier(dotted))


@pytest.mark.parametrize(
    ("moment", "encoded"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), b"\x17\x0d260102030405Z"),
        (datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), b"\x17\x0d491231235959Z"),
        (datetime(2050, 1, 1, tzinfo=UTC), b"\x18\x0f20500101000000Z"),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), b"\x18\x0f99991231235959Z"),
    ],
)
def test_times_change_their_form_in_2050(moment: datetime, encoded: bytes) -> None:
    assert der.time(int(moment.timestamp())) == encoded


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.data())
def test_one_element_is_found_among_others(contents: list[bytes], data: st.DataObject) -> None:
    parts = [der.element(der.OCTET_STRING, one) for one in contents]
    index = data.draw(st.integers(0, len(parts) - 1))
    assert der.part(b"".join(parts), index) == parts[index]
    assert der.offset(b"".join(parts), index) == len(b"".join(parts[:index]))


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x01", b"\x30\x00", b"\x30\x00\x30\x05"])
def test_refuses_to_find_what_is_not_there(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="cut short"):
        der.part(data, 1)
