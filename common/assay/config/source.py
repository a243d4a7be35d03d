"""From a file or a text to a Document, whichever of the three syntaxes it is written in.

TOML goes by its suffix. JSON goes by its first character, whatever the suffix: Helm charts write JSON into
server.conf. Everything else is HCL.

A file has at most MAX_BYTES and nests at most MAX_DEPTH deep: no configuration comes near, and what a mistake or a
template made of one is refused at once instead of being read for minutes.
"""

import json
import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from pathlib import Path

from assay.config import hcl
from assay.config.document import MAX_DEPTH, Document, KeyPath, is_list, is_section
from assay.config.expand import expand_env
from assay.config.fault import ConfigError, Fault

MAX_BYTES = 1024 * 1024
"""Of a configuration file, and of its text once variables are expanded."""

# tomllib takes a key of many parts in the square of their number.
_DEEP_TOML_KEY = re.compile(
    rf"""(?:^|[\[{{,])[ \t]*+(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{MAX_DEPTH}}}""", re.MULTILINE
)
_TOML_NAME = r"""(?:"([^"\n]*+)"|'([^'\n]*+)'|([\w-]++))\s*+"""
_TOML_KEY = re.compile(rf"\s*+{_TOML_NAME}[=.]")
_TOML_HEADER = re.compile(rf"{_TOML_NAME}[.\]]")
_JSON_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)"(\s*+:)?')


def read(path: Path, *, env: Mapping[str, str] | None = None) -> Document:
    """The document in that file; with `env`, variables are expanded first.

    Raises:
        ConfigError: no such file, unreadable, or not in its syntax.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        _check_size(len(data), str(path))
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        fault = Fault(str(path.absolute()), "", "could not find config file")
        raise ConfigError([fault], hint="name it with --config") from None
    except OSError as error:
        raise ConfigError([Fault(str(path), "", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError:
        raise ConfigError([Fault(str(path), "", "is not UTF-8 text")]) from None
    return parse(text if env is None else expand_env(text, env), str(path))


def parse(text: str, name: str) -> Document:
    """The document in that text; `name` is where faults are said to be, and its suffix chooses TOML.

    Raises:
        ConfigError: not in its syntax, too long, or nested too deeply.
    """
    _check_size(len(text), name)
    if name.endswith(".toml"):
        return _parse_toml(text, name)
    if text.lstrip().startswith("{"):
        return _parse_json(text, name)
    return hcl.parse(text, name)


def _check_size(size: int, name: str) -> None:
    if size > MAX_BYTES:
        raise ConfigError([Fault(name, "", f"is longer than {MAX_BYTES // 1024} KiB, which no configuration is")])


def _parse_toml(text: str, name: str) -> Document:
    if _DEEP_TOML_KEY.search(text):
        raise ConfigError([Fault(name, "", f"is nested too deeply: a key has more than {MAX_DEPTH} parts")])
    try:
        data: dict[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        where = f"{name}:{place[1]}" if place else name
        raise ConfigError([Fault(where, "", f"is not valid TOML: {error}")]) from None
    except (ValueError, RecursionError):
        raise ConfigError([Fault(name, "", "is nested too deeply or has a number that is too long")]) from None
    return Document(name, data, _unique_lines(_toml_lines(text), data, name))


def _toml_lines(text: str) -> Iterator[tuple[str, int]]:
    """Each name that a line sets or a header has, once for each line."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("["):
            yield from {(found[1] or found[2] or found[3] or "", number) for found in _TOML_HEADER.finditer(line)}
        elif found := _TOML_KEY.match(line):
            yield found[1] or found[2] or found[3] or "", number


def _parse_json(text: str, name: str) -> Document:
    faults: list[Fault] = []

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        made: dict[str, object] = {}
        for key, value in pairs:
            if key in made:
                faults.append(_twice(text, name, key))
            made[key] = value
        return made

    try:
        data: object = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise ConfigError([Fault(f"{name}:{error.lineno}", "", f"is not valid JSON: {error.msg}")]) from None
    except RecursionError:
        raise ConfigError([Fault(name, "", "is nested too deeply")]) from None
    except ValueError:
        raise ConfigError([Fault(name, "", "has a number that is too long")]) from None
    if not is_section(data):
        raise ConfigError([Fault(name, "", "is not a JSON object")])
    return Document(name, data, _unique_lines(_json_lines(text), data, name), tuple(faults))


def _twice(text: str, name: str, key: str) -> Fault:
    """With its place, unless the key stands in other sections too: then nothing tells which of them is meant."""
    match [line for found, line in _json_lines(text) if found == key]:
        case [first, second]:
            return Fault(f"{name}:{second}", key, f"is set twice, first on line {first}")
        case _:
            return Fault(name, key, "is set twice")


def _json_lines(text: str) -> Iterator[tuple[str, int]]:
    ends = [found.start() for found in re.finditer("\n", text)]
    for found in _JSON_STRING.finditer(text):
        if found[2]:
            yield found[1], bisect_left(ends, found.end()) + 1


def _unique_lines(lines: Iterator[tuple[str, int]], data: Mapping[str, object], name: str) -> dict[KeyPath, int]:
    """The lines of those keys that the text has just once: these parsers keep no positions."""
    found: dict[str, int | None] = {}
    for key, line in lines:
        found[key] = None if key in found else line
    places: dict[KeyPath, int] = {}
    for path in _paths(data, name):
        at = found.get(str(path[-1]))
        if isinstance(path[-1], str) and at is not None:
            places[path] = at
    return places


def _paths(data: Mapping[str, object], name: str) -> Iterator[KeyPath]:
    waiting: list[tuple[KeyPath, object]] = [((), data)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > MAX_DEPTH:
            raise ConfigError([Fault(name, "", f"is nested too deeply: more than {MAX_DEPTH} levels")])
        if path:
            yield path
        if is_section(value):
            waiting.extend(((*path, key), inner) for key, inner in value.items())
        elif is_list(value):
            waiting.extend(((*path, at), inner) for at, inner in enumerate(value))
