"""URLs of bundle endpoints (SPIFFE Federation section 5): https, with a host, without credentials.

They are read as Go's net/url reads them, which SPIRE's clients know, and kept as it writes them: what has to be
percent-encoded is. Hosts are held to RFC 3986, so that names beyond ASCII have to be given in their IDNA form.
"""

import re
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import quote, unquote_to_bytes

from assay.errors import InvalidArgumentError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}")
_NOT_IN_HOST = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=-]")
_PORT = re.compile(r"(?::[0-9]*)?")
_ADDRESS = re.compile(r"\[([^\]]*)\](.*)")

# What may stand in a path or fragment as it is, and what is left alone when something else has to be encoded.
_ENCODED = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@/%\[\]-]*")
_PATH_SAFE = "$&+,/:;=@"
_FRAGMENT_SAFE = "!$&()*+,/:;=?@"


def parse_endpoint_url(text: str) -> str:
    """The URL as it is kept.

    Raises:
        InvalidArgumentError: it is malformed, or not what a bundle endpoint's URL must be.
    """
    if _CONTROL.search(text):
        raise InvalidArgumentError("failed to parse bundle endpoint URL: net/url: invalid control character in URL")
    found = _SCHEME.fullmatch(text)
    if found is None or found[1].lower() != "https":
        raise InvalidArgumentError("bundle endpoint URL must use the https scheme")
    before, _, fragment = found[2].partition("#")
    before, question, query = before.partition("?")
    if not before.startswith("//"):
        raise InvalidArgumentError("bundle endpoint URL must specify the host")
    authority, slash, path = before.removeprefix("//").partition("/")
    _check_authority(text, authority)
    path, fragment = _kept(text, slash + path, _PATH_SAFE), _kept(text, fragment, _FRAGMENT_SAFE)
    return f"https://{authority}{path}{question}{query}" + (f"#{fragment}" if fragment else "")


def _check_authority(text: str, authority: str) -> None:
    if "@" in authority:  # first of all: no message below may repeat a password
        raise InvalidArgumentError("bundle endpoint URL must not contain user info")
    if not _checked_host(text, authority):
        raise InvalidArgumentError("bundle endpoint URL must specify the host")


def _checked_host(text: str, host_port: str) -> str:
    if host_port.startswith("["):
        return _checked_address(text, host_port)
    host, colon, port = host_port.partition(":")
    _check_port(text, colon + port)
    if wrong := _NOT_IN_HOST.search(host):
        raise _malformed(text, f'invalid character "{wrong[0]}" in host name')
    return host


def _checked_address(text: str, host_port: str) -> str:
    found = _ADDRESS.fullmatch(host_port)
    if found is None:
        raise _malformed(text, "missing ']' in host")
    _check_port(text, found[2])
    try:
        IPv6Address(found[1].replace("%25", "%", 1))
    except AddressValueError as error:
        raise _malformed(text, f"invalid host: {error}") from None
    return found[1]


def _check_port(text: str, port: str) -> None:
    if not _PORT.fullmatch(port):
        raise _malformed(text, f'invalid port "{port}" after host')


def _kept(text: str, part: str, safe: str) -> str:
    if wrong := _BAD_ESCAPE.search(part):
        raise _malformed(text, f'invalid URL escape "{wrong[0]}"')
    return part if _ENCODED.fullmatch(part) else quote(unquote_to_bytes(part), safe=safe)


def _malformed(text: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f'failed to parse bundle endpoint URL: parse "{text}": {why}')
