"""DNS names as certificates may carry them: what SPIRE takes, less the characters no host name has."""

import re

from assay.errors import InvalidArgumentError

MAX_NAME = 253
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_ENCODED = "xn--"
_HYPHENS = slice(2, 4)


def check_dns_name(name: str) -> None:
    """Refuse what is no DNS name; `*.` is allowed as the first label.

    Raises:
        InvalidArgumentError: the name is empty, not ASCII, too long, or has a bad label or wildcard.
    """
    if not name.isascii():
        raise InvalidArgumentError("name must be ascii", hint="write international names in their xn-- form")
    if name.count("*") > 1:
        raise InvalidArgumentError("too many wildcards")
    if "*" in name and not name.startswith("*."):
        raise InvalidArgumentError("wildcard must be first label")
    rest = name.removeprefix("*.")
    if not rest.strip():
        raise InvalidArgumentError("empty or only whitespace")
    if rest.endswith("."):
        raise InvalidArgumentError("domain ends with dot")
    if len(rest) > MAX_NAME:
        raise InvalidArgumentError(f"idna error: name is longer than {MAX_NAME} bytes")
    for label in rest.split("."):
        _check_label(label)


def _check_label(label: str) -> None:
    if not _LABEL.fullmatch(label):
        raise InvalidArgumentError(f'idna error: invalid label "{label}"')
    if label.startswith(_ENCODED):
        _check_encoded(label)
    elif label[_HYPHENS] == "--":
        raise InvalidArgumentError(f'idna error: invalid label "{label}"')


def _check_encoded(label: str) -> None:
    try:
        decoded = label.removeprefix(_ENCODED).encode().decode("punycode")
    except UnicodeError:
        decoded = ""
    if not decoded.isprintable() or decoded.isascii():
        raise InvalidArgumentError(f'idna error: invalid label "{label}"')
