"""What governed objects may be called: pure rules, which say what a name looks like when they refuse one."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from assay.errors import InvalidArgumentError

MAX_TEXT = 1024
MAX_URI = 2048
MAX_LIST = 256

_OWNER = re.compile(r"(?:person|team):[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
# One segment of a SPIFFE ID's path.
_PRINCIPAL = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,64}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


def check_owner_name(name: str) -> None:
    """Refuse what is no owner's name.

    Raises:
        InvalidArgumentError: it is none.
    """
    if not _OWNER.fullmatch(name):
        raise InvalidArgumentError(
            f'"{_shown(name)}" is not an owner\'s name', hint="such as person:alice@corp or team:payments"
        )


def check_principal_name(name: str) -> None:
    """Refuse what cannot be a segment of a SPIFFE ID's path.

    Raises:
        InvalidArgumentError: it cannot.
    """
    if not _PRINCIPAL.fullmatch(name):
        raise InvalidArgumentError(
            f'"{_shown(name)}" is not a principal\'s name',
            hint="1 to 64 letters, digits, dots, dashes and underscores, as in SPIFFE IDs",
        )


def check_word(what: str, text: str) -> None:
    """Refuse what is no name of a tool, grant, tenant and the like.

    Raises:
        InvalidArgumentError: it is none.
    """
    if not _WORD.fullmatch(text):
        raise InvalidArgumentError(
            f'{what} "{_shown(text)}" is not a name',
            hint="1 to 128 letters, digits and any of . _ : / -, beginning with a letter or digit",
        )


def check_words(what: str, texts: Iterable[str]) -> None:
    """The same of each, of which there may not be too many.

    Raises:
        InvalidArgumentError: one is no name, or is there twice.
    """
    seen: set[str] = set()
    for text in texts:
        check_word(what, text)
        if text in seen:
            raise InvalidArgumentError(f'{what} "{text}" is given twice')
        seen.add(text)
    if len(seen) > MAX_LIST:
        raise InvalidArgumentError(f"there are {len(seen)} of {what}; at most {MAX_LIST} may be given")


def check_text(what: str, text: str) -> None:
    """Refuse texts for people that are too long, or are more than a line.

    Raises:
        InvalidArgumentError: it is one.
    """
    if len(text.encode()) > MAX_TEXT:
        raise InvalidArgumentError(f"{what} is too long", hint=f"at most {MAX_TEXT} bytes")
    if not text.isprintable() or text != text.strip():
        raise InvalidArgumentError(f"{what} is not one line of text")


def check_uri(uri: str) -> None:
    """Refuse what cannot be a resource's URI, and so an audience (RFC 8707 section 2): absolute, without a fragment.

    Raises:
        InvalidArgumentError: it cannot.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        parts = urlsplit("")
    good = uri.isascii() and uri.isprintable() and " " not in uri and len(uri) <= MAX_URI
    if not (good and parts.scheme and (parts.netloc or parts.path)) or "#" in uri:
        raise InvalidArgumentError(
            f'"{_shown(uri)}" is not a resource\'s URI',
            hint="an absolute URI without a fragment, such as https://crm.corp/mcp",
        )


def _shown(text: str) -> str:
    return text if len(text) <= MAX_LIST else f"{text[:MAX_LIST]}…"
