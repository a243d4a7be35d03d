"""PROXY headers, byte by byte."""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import InvalidArgumentError
from assay.transport.proxyheader import ABSENT, BINARY, MAX_BINARY, MAX_TEXT, ProxyHeader, parse

HELLO = b"\x16\x03\x01\x02\x00\x01"
PORTS = st.integers(0, 65535)


def binary(command: int, family: int, block: bytes, length: int | None = None) -> bytes:
    return BINARY + struct.pack("!BBH", command, family, len(block) if length is None else length) + block


def text(words: str) -> bytes:
    return f"PROXY {words}\r\n".encode()


V4 = IPv4Address("192.0.2.1").packed + IPv4Address("198.51.100.1").packed + struct.pack("!HH", 4000, 8081)
V6 = IPv6Address("2001:db8::1").packed + IPv6Address("2001:db8::2").packed + struct.pack("!HH", 4000, 8081)
MAPPED = IPv6Address("::ffff:192.0.2.1").packed + IPv6Address("2001:db8::2").packed + struct.pack("!HH", 4000, 8081)


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (text("TCP4 192.0.2.1 198.51.100.1 4000 8081"), "192.0.2.1:4000"),
        (text("TCP4 0.0.0.0 255.255.255.255 0 65535"), "0.0.0.0:0"),
        (text("TCP6 2001:DB8:0::1 2001:db8::2 4000 8081"), "[2001:db8::1]:4000"),
        (text("TCP6 ::ffff:192.0.2.1 ::1 4000 8081"), "192.0.2.1:4000"),
        (text("UNKNOWN"), None),
        (text("UNKNOWN ffff::1 whatever it says"), None),
        (binary(0x21, 0x11, V4), "192.0.2.1:4000"),
        (binary(0x21, 0x21, V6), "[2001:db8::1]:4000"),
        (binary(0x21, 0x21, MAPPED), "192.0.2.1:4000"),
        (binary(0x21, 0x11, V4 + b"\x04\x00\x01\x00"), "192.0.2.1:4000"),
        (binary(0x21, 0x11, V4 + bytes(MAX_BINARY - 16 - len(V4))), "192.0.2.1:4000"),
        (binary(0x20, 0x00, b""), None),
        (binary(0x20, 0x11, V4), None),
        (binary(0x20, 0x11, b""), None),
        (binary(0x20, 0x31, b"xy"), None),
    ],
)
def test_headers(header: bytes, source: str | None) -> None:
    assert parse(header + HELLO) == ProxyHeader(len(header), source)
    for end in range(len(header)):
        assert parse(header[:end]) is None


@pytest.mark.parametrize("data", [HELLO, b"\x16", b"GET / HTTP/1.1", b"P\r\n", b"PROXI", b"\r\n\r\n\r\n", b"\0" * 200])
def test_what_is_no_header(data: bytes) -> None:
    assert parse(data) is ABSENT


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"PROXY TCP4 192.0.2.1 198.51.100.1 4000 8081\n", "does not end with CRLF"),
        (b"PROXY " + b"x" * (MAX_TEXT - 6), "too long"),
        (b"PROXYTCP4 192.0.2.1 198.51.100.1 4000 8081\r\n", "not the words"),
        (b"PROXY\r\n", "not the words"),
        (text(""), "not the words"),
        (text("TCP4 192.0.2.1 198.51.100.1 4000"), "not the words"),
        (text("TCP4 192.0.2.1 198.51.100.1 4000 8081 1"), "not the words"),
        (text("TCP4  192.0.2.1 198.51.100.1 4000 8081"), "not the words"),
        (text("UDP4 192.0.2.1 198.51.100.1 4000 8081"), "not on TCP"),
        (text("TCP6 192.0.2.1 ::1 4000 8081"), "malformed"),
        (text("TCP4 2001:db8::1 198.51.100.1 4000 8081"), "malformed"),
        (text("TCP4 192.0.2.01 198.51.100.1 4000 8081"), "malformed"),
        (text("TCP4 192.0.2.1 host 4000 8081"), "malformed"),
        (text("TCP6 fe80::1%eth0 ::1 4000 8081"), "zone"),
        (text("TCP4 192.0.2.1 198.51.100.1 65536 8081"), "too large"),
        (text("TCP4 192.0.2.1 198.51.100.1 4000 080"), "not a number"),
        (text("TCP4 192.0.2.1 198.51.100.1 +40 8081"), "not a number"),
        ("PROXY TCP4 192.0.2.\u0661 198.51.100.1 4000 8081\r\n".encode(), "malformed"),
        (binary(0x11, 0x11, V4), "unknown version"),
        (binary(0x22, 0x11, V4), "unknown version"),
        (binary(0x21, 0x13, V4), "unknown version"),
        (binary(0x20, 0x13, V4), "unknown version"),
        (binary(0x21, 0x00, b""), "not on TCP"),
        (binary(0x21, 0x12, V4), "not on TCP"),
        (binary(0x21, 0x31, bytes(216)), "not on TCP"),
        (binary(0x21, 0x11, V4[:11]), "shorter"),
        (binary(0x21, 0x21, V6[:35]), "shorter"),
        (binary(0x21, 0x11, b"", MAX_BINARY - 15), "too long"),
        (binary(0x20, 0x11, b"", 65535), "too long"),
    ],
)
def test_what_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        parse(data)


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), PORTS, PORTS, st.binary(max_size=40), st.binary(max_size=40))
def test_both_versions_tell_the_same_of_ipv4(
    source: IPv4Address, to: IPv4Address, port: int, other: int, more: bytes, extension: bytes
) -> None:
    first = text(f"TCP4 {source} {to} {port} {other}")
    second = binary(0x21, 0x11, source.packed + to.packed + struct.pack("!HH", port, other) + extension)
    for header in (first, second):
        assert parse(header + more) == ProxyHeader(len(header), f"{source}:{port}")


@given(st.ip_addresses(v=6), st.ip_addresses(v=6), PORTS, PORTS, st.binary(max_size=40))
def test_both_versions_tell_the_same_of_ipv6(
    source: IPv6Address, to: IPv6Address, port: int, other: int, more: bytes
) -> None:
    first = text(f"TCP6 {source} {to} {port} {other}")
    second = binary(0x21, 0x21, source.packed + to.packed + struct.pack("!HH", port, other))
    found = parse(first + more)
    assert found is not None
    assert found.source is not None
    host, _, told = found.source.rpartition(":")
    mapped = source.ipv4_mapped
    family = socket.AF_INET if mapped else socket.AF_INET6
    assert socket.inet_pton(family, host.strip("[]")) == (mapped or source).packed
    assert told == str(port)
    assert parse(second + more) == ProxyHeader(len(second), found.source)


@given(
    st.binary(max_size=200)
    | st.builds(lambda tail: b"PROXY " + tail, st.binary(max_size=200))
    | st.builds(lambda tail: BINARY + tail, st.binary(max_size=300))
)
def test_whatever_comes_is_told_within_bounds(data: bytes) -> None:
    """A header, none, more to come but never beyond the bound, or a refusal; and never another after more came."""
    try:
        found = parse(data)
    except InvalidArgumentError:
        return
    if found is None:
        assert len(data) < (MAX_TEXT if data.startswith(b"PROXY") else MAX_BINARY)
    else:
        assert found.size <= len(data)
        assert parse(data + b"more") == found
