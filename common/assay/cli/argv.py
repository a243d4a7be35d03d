"""SPIRE's spelling of flags, for the scripts that use it: `-socketPath` and `--socketPath` are `--socket-path`."""

import re
from collections.abc import Iterator, Sequence

# Go takes one dash or two; with two only what has a capital cannot be ours.
_FLAG = re.compile(r"-(?:-(?=[a-z0-9]*[A-Z]))?([A-Za-z][A-Za-z0-9]+)(=.*)?", re.DOTALL)
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=SVID)(?=TTL)|(?<=SDS)(?=API)")

# Go's flags take `-shallow=false`; ours are either there or not.
_SWITCHES = frozenset({
    "admin", "allow-unauthenticated-verifiers", "disable-sds-api", "disable-workload-api", "disable-x509-svid-prefetch",
    "downstream", "dry-run", "expand-env", "insecure-bootstrap", "jwt-svid-include-jti", "log-source-location", "node",
    "shallow", "silent", "store-svid", "verbose",
})  # fmt: skip

# SPIRE's flags of agents take a word: true, false, or any other for both. Ours are pairs.
_PAIRS = {"banned": ("--banned", "--not-banned"), "can-reattest": ("--can-reattest", "--cannot-reattest")}


def spire_flags(arguments: Sequence[str]) -> list[str]:
    """The arguments with SPIRE's flags in our spelling; everything else, and all after `--`, as it is."""
    return list(_respelled(arguments))


def _respelled(arguments: Sequence[str]) -> Iterator[str]:
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            yield argument
            yield from rest
            return
        found = _FLAG.fullmatch(argument)
        if found is None:
            yield argument
            continue
        name = _WORDS.sub("-", found[1]).lower()
        value = found[2] or ""
        if name in _PAIRS:
            yield from _pair(*_PAIRS[name], value[1:] if value else next(rest, "true"))
        elif name in _SWITCHES and value:
            if value.lower() in {"=true", "=1", "=t"}:
                yield f"--{name}"
        else:
            yield f"--{name}{value}"


def _pair(yes: str, no: str, word: str) -> Iterator[str]:
    if word in {"true", "false"}:
        yield yes if word == "true" else no
