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
        if not _is_label(label):
            # In two lines, as Go joins errors; of a label that is not there it shows the name.
            raise InvalidArgumentError(f'idna error\nidna: invalid label "{label or rest}"')


def _is_label(label: str) -> bool:
    if not _LABEL.fullmatch(label):
        return False
    return _is_encoded(label) if label.startswith(_ENCODED) else label[_HYPHENS] != "--"


def _is_encoded(label: str) -> bool:
    try:
        decoded = label.removeprefix(_ENCODED).encode().decode("punycode")
    except UnicodeError:
        decoded = ""
    return decoded.isprintable() and not decoded.isascii()
