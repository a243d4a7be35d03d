"""One log line from its fields: as logrus writes text, or as JSON."""

import json
import re
from collections.abc import Mapping
from datetime import datetime

_LAST_ASCII = 0x7F
_LAST_SHORT = 0xFFFF
_NEEDS_QUOTES = re.compile(r"[^a-zA-Z0-9\-._/@^+]")
_GO_ESCAPES = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", '"': '\\"', "\\": "\\\\",
}  # fmt: skip
_NEEDS_ESCAPE = re.compile(r'["\\]|[^ -~]')


def render_text(fields: Mapping[str, object]) -> str:
    """One line as logrus writes it: time, level and msg first, then the rest by name."""
    rest = sorted(fields.keys() - {"time", "level", "msg"})
    return " ".join(f"{key}={_quoted(as_go(fields[key]))}" for key in ("time", "level", "msg", *rest))


def render_json(fields: Mapping[str, object]) -> str:
    """One line of JSON, keys sorted; numbers and truth values stay what they are."""
    kept = {
        key: value if value is None or isinstance(value, (bool, int, float)) else as_go(value)
        for key, value in fields.items()
    }
    line = json.dumps(kept, sort_keys=True, ensure_ascii=False)
    # A path that is not UTF-8 comes as lone surrogates, which JSON can escape and no encoding can write.
    return line.encode(errors="backslashreplace").decode()


def as_go(value: object) -> str:
    """As Go prints it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    if isinstance(value, (list, tuple, set, frozenset)):
        return f"[{' '.join(as_go(one) for one in value)}]"  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return str(value)


def quoted(text: str) -> str:
    """In quotes, as Go's %q writes it."""
    return f'"{_NEEDS_ESCAPE.sub(_escaped, text)}"'


def _quoted(text: str) -> str:
    return quoted(text) if _NEEDS_QUOTES.search(text) else text


def _escaped(match: re.Match[str]) -> str:
    """One character as Go's %q writes it."""
    character = match[0]
    if character in _GO_ESCAPES:
        return _GO_ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code <= _LAST_ASCII:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _LAST_SHORT else f"\\U{code:08x}"


def rfc3339(now: datetime) -> str:
    """In local time, to the second."""
    return now.astimezone().isoformat(timespec="seconds").replace("+00:00", "Z")
