"""From a file or a text to a Document, whichever of the three syntaxes it is written in.

TOML goes by its suffix. JSON goes by its first character, whatever the suffix: Helm charts write JSON into
server.conf. Everything else is HCL.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from assay.config import hcl
from assay.config.document import Document, KeyPath, is_list, is_section
from assay.config.expand import expand_env
from assay.config.fault import ConfigError, Fault


def read(path: Path, *, env: Mapping[str, str] | None = None) -> Document:
    """The document in that file; with `env`, variables are expanded first.

    Raises:
        ConfigError: no such file, unreadable, or not in its syntax.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
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
        ConfigError: not in its syntax.
    """
    if name.endswith(".toml"):
        return _parse_toml(text, name)
    if text.lstrip().startswith("{"):
        return _parse_json(text, name)
    return hcl.parse(text, name)


def _parse_toml(text: str, name: str) -> Document:
    try:
        data: dict[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        where = f"{name}:{place[1]}" if place else name
        raise ConfigError([Fault(where, "", f"is not valid TOML: {error}")]) from None
    except (ValueError, RecursionError):
        raise ConfigError([Fault(name, "", "is nested too deeply or has a number that is too long")]) from None
    return Document(name, data, _unique_lines(text, data, r"^\s*(?:\[+.*?)?\b{key}\b[\"']?\s*[=.\]]"))


def _parse_json(text: str, name: str) -> Document:
    faults: list[Fault] = []

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        made: dict[str, object] = {}
        for key, value in pairs:
            if key in made:
                faults.append(Fault(name, key, "is set twice"))
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
    return Document(name, data, _unique_lines(text, data, r"\"{key}\"\s*:"), tuple(faults))


def _unique_lines(text: str, data: Mapping[str, object], pattern: str) -> dict[KeyPath, int]:
    """The lines of those keys that the text has just once: these parsers keep no positions."""
    lines: dict[KeyPath, int] = {}
    for path in _paths(data, ()):
        if isinstance(key := path[-1], str):
            found = list(re.finditer(pattern.replace("{key}", re.escape(key)), text, re.MULTILINE))
            if len(found) == 1:
                lines[path] = text.count("\n", 0, found[0].end()) + 1
    return lines


def _paths(value: object, path: KeyPath) -> list[KeyPath]:
    items: list[tuple[str | int, object]] = []
    if is_section(value):
        items = list(value.items())
    elif is_list(value):
        items = list(enumerate(value))
    found: list[KeyPath] = []
    for key, inner in items:
        found += [(*path, key), *_paths(inner, (*path, key))]
    return found
