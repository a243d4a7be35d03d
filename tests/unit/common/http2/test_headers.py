"""Header blocks, judged by the library's own encoder and decoder."""

import pytest
from hpack import Decoder as Reference
from hpack import Encoder
from hpack.exceptions import HPACKError
from hypothesis import given
from hypothesis import strategies as st

from assay.http2.errors import ErrorCode, Http2Error
from assay.http2.headers import FIELD_OVERHEAD, Decoder, encode

texts = st.binary(max_size=40)
fields = st.lists(st.tuples(st.sampled_from([b":path", b"te", b"x-a", b"grpc-timeout"]) | texts, texts), max_size=8)
LIMIT = 16_384


@given(st.lists(fields, max_size=12), st.booleans())
def test_what_an_encoder_writes_is_read_block_after_block(
    blocks: list[list[tuple[bytes, bytes]]], huffman: bool
) -> None:
    encoder, decoder = Encoder(), Decoder(LIMIT)
    for block in blocks:
        assert list(decoder.decode(encoder.encode(block, huffman=huffman))) == block


@given(st.lists(st.tuples(fields, st.integers(0, 4096)), max_size=8))
def test_tables_that_change_their_size_are_followed(blocks: list[tuple[list[tuple[bytes, bytes]], int]]) -> None:
    encoder, decoder = Encoder(), Decoder(LIMIT)
    for block, size in blocks:
        encoder.header_table_size = size
        assert list(decoder.decode(encoder.encode(block))) == block


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_are_read_as_the_library_reads_them_or_refused_by_both(blocks: list[bytes]) -> None:
    reference, decoder = Reference(LIMIT), Decoder(LIMIT)
    for block in blocks:
        try:
            expected = [tuple(map(bytes, one)) for one in reference.decode(block, raw=True)]
        except (HPACKError, IndexError):
            with pytest.raises(Http2Error):
                decoder.decode(block)
            return
        assert list(decoder.decode(block)) == expected


@given(fields)
def test_what_we_write_is_read_by_the_library(block: list[tuple[bytes, bytes]]) -> None:
    assert [tuple(map(bytes, one)) for one in Reference().decode(encode(block), raw=True)] == block


def test_the_same_block_is_the_same_object_until_the_table_changes() -> None:
    encoder, decoder = Encoder(), Decoder(LIMIT)
    decoder.decode(encoder.encode([(b"x-a", b"1")]))
    block = encoder.encode([(b"x-a", b"1")])
    first = decoder.decode(block)
    assert decoder.decode(block) is first
    decoder.decode(encoder.encode([(b"x-b", b"2")]))
    assert decoder.decode(block) == ((b"x-b", b"2"),)


def test_a_block_that_names_one_large_field_many_times_is_refused() -> None:
    """Some bytes that would be megabytes."""
    decoder = Decoder(LIMIT)
    decoder.decode(Encoder().encode([(b"x", b"a" * 4000)], huffman=False))
    with pytest.raises(Http2Error) as error:
        decoder.decode(b"\xbe" * 5)
    assert error.value.code is ErrorCode.ENHANCE_YOUR_CALM


def test_the_list_may_be_as_long_as_announced() -> None:
    decoder = Decoder(10 * (2 + FIELD_OVERHEAD))
    assert len(decoder.decode(encode([(b"a", b"b")] * 10))) == 10
    with pytest.raises(Http2Error):
        decoder.decode(encode([(b"a", b"b")] * 11))


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # no field
        b"\xbe",  # beyond the table
        b"\xff\xff\xff\xff\xff\xff\x01",  # a number without end
        b"\x00\x05ab",  # cut off
        b"\x82\x20",  # a change of the table after a field
        b"\x3f\xff\xff\xff\x01",  # a table larger than allowed
        b"\x00",
        b"\x40\x81\x00\x00",  # Huffman padding that is none
    ],
)
def test_what_is_no_block_is_refused(block: bytes) -> None:
    with pytest.raises(Http2Error) as error:
        Decoder(LIMIT).decode(block)
    assert error.value.code is ErrorCode.COMPRESSION_ERROR


def test_a_peer_cannot_have_blocks_remembered_without_end() -> None:
    decoder = Decoder(LIMIT)
    for number in range(1000):
        decoder.decode(encode([(b"x", b"%d" % number)]))
    assert len(decoder._known) <= 16
