import pytest

from assay.errors import InvalidArgumentError
from assay_server.model.endpointurl import parse_endpoint_url


@pytest.mark.parametrize(
    "url",
    [
        "https://foo.test",
        "https://foo.test:8443/",
        "https://foo.test:",
        "https://Foo.TEST/a%20b/c%2Fd",
        "https://foo.test/a'b(c)!*[d]",
        "https://foo.test?x=%zz y",
        "https://foo.test/?",
        "https://foo.test/path?query#part/?",
        "https://[::1]:8443/x",
        "https://[fe80::1%25en0]",
        "https://192.0.2.1/@x",
    ],
)
def test_a_url_that_needs_no_encoding_is_kept_as_it_is(url: str) -> None:
    assert parse_endpoint_url(url) == url


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("HTTPS://foo.test", "https://foo.test"),
        ("https://foo.test#", "https://foo.test"),
        ("https://foo.test/a b?c d#e f", "https://foo.test/a%20b?c d#e%20f"),
        ("https://foo.test/ü", "https://foo.test/%C3%BC"),
        ("https://foo.test/a|b%41", "https://foo.test/a%7CbA"),
        ("https://foo.test/#a'b(c)!*/?\"", "https://foo.test/#a%27b(c)!*/?%22"),
    ],
)
def test_what_has_to_be_encoded_is(given: str, kept: str) -> None:
    assert parse_endpoint_url(given) == kept
    assert parse_endpoint_url(kept) == kept


PARSE = "failed to parse bundle endpoint URL: parse "


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "bundle endpoint URL must use the https scheme"),
        ("foo.test/x", "bundle endpoint URL must use the https scheme"),
        ("http://foo.test", "bundle endpoint URL must use the https scheme"),
        ("https:", "bundle endpoint URL must specify the host"),
        ("https:foo.test", "bundle endpoint URL must specify the host"),
        ("https:///path", "bundle endpoint URL must specify the host"),
        ("https://?x", "bundle endpoint URL must specify the host"),
        ("https://:8443/", "bundle endpoint URL must specify the host"),
        ("https://@foo.test", "bundle endpoint URL must not contain user info"),
        ("https://user:secret@foo.test", "bundle endpoint URL must not contain user info"),
        ("https://foo.test/\n", "failed to parse bundle endpoint URL: net/url: invalid control character in URL"),
        ("https://foo.test:abc", f'{PARSE}"https://foo.test:abc": invalid port ":abc" after host'),
        ("https://foo.test:1:2", f'{PARSE}"https://foo.test:1:2": invalid port ":1:2" after host'),
        ("https://foo.test:\u0661", f'{PARSE}"https://foo.test:\u0661": invalid port ":\u0661" after host'),
        ("https://foo bar", f'{PARSE}"https://foo bar": invalid character " " in host name'),
        ("https://fü.test", f'{PARSE}"https://fü.test": invalid character "ü" in host name'),
        ("https://[::1", f"{PARSE}\"https://[::1\": missing ']' in host"),
        ("https://[::1]x", f'{PARSE}"https://[::1]x": invalid port "x" after host'),
        ("https://foo.test/%zz", f'{PARSE}"https://foo.test/%zz": invalid URL escape "%zz"'),
        ("https://foo.test/%a", f'{PARSE}"https://foo.test/%a": invalid URL escape "%a"'),
        ("https://foo.test/#%", f'{PARSE}"https://foo.test/#%": invalid URL escape "%"'),
    ],
)
def test_what_is_no_bundle_endpoint_is_refused(url: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as refusal:
        parse_endpoint_url(url)
    assert refusal.value.message == message


@pytest.mark.parametrize("host", ["[192.0.2.1]", "[]", "[x]"])
def test_brackets_hold_addresses_of_version_6_only(host: str) -> None:
    with pytest.raises(InvalidArgumentError, match="invalid host: "):
        parse_endpoint_url(f"https://{host}/")
