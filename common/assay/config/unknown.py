"""Keys that nobody knows, and the one that was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(key: str, known: Iterable[str]) -> str | None:
    """The known key most like this one, if any is like it; case and dashes do not count."""
    by_folded = {_fold(name): name for name in known}
    match = get_close_matches(_fold(key), by_folded, n=1, cutoff=0.6)
    return by_folded[match[0]] if match else None


def unknown_reason(key: str, known: Iterable[str], what: str = "key") -> str:
    """Why such a key is refused, with the nearest valid one."""
    names = sorted(known)
    meant = nearest(key, names)
    if meant is not None:
        return f'unknown {what}; did you mean "{meant}"?'
    return f"unknown {what}; valid here: {', '.join(names)}" if names else f"unknown {what}; none is valid here"


def _fold(key: str) -> str:
    return key.replace("-", "_").lower()
