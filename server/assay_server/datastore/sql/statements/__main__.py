"""Write the statements' texts into `datastore/sql/text`; with --check only say whether what is there is current."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from assay_server.datastore.sql import statements

Statement = ClauseElement | Mapping[str, ClauseElement] | Sequence[ClauseElement]
"""What a public constant may be."""

_OUT = Path(__file__).parents[1] / "text"
_DIALECT = sqlite.dialect(paramstyle="named")
_NOT_WRITTEN = {"__main__", "lists"}


def text_of(statement: ClauseElement) -> str:
    """SQLite's text with named values; ValueError when the statement brings values of its own."""
    compiled = statement.compile(dialect=_DIALECT)
    binds = compiled.binds.values() if isinstance(compiled, SQLCompiler) else ()
    if own := [bind.key for bind in binds if not bind.required]:
        raise ValueError(f"write {own} into the statement as literals: {compiled}")
    return "\n".join(line.rstrip() for line in str(compiled).strip().splitlines())


def written(value: Statement) -> str:
    """A constant as source."""
    if isinstance(value, ClauseElement):
        return f'"""\\\n{text_of(value)}\\\n"""'
    if isinstance(value, Mapping):
        return "{\n" + "".join(f"{name!r}: {written(each)},\n" for name, each in value.items()) + "}"
    return "[\n" + "".join(f"{written(each)},\n" for each in value) + "]"


def module(name: str) -> str:
    """The source of one module of texts."""
    found = import_module(f"{statements.__name__}.{name}")
    lines = [f'"""Written by `make sql` from {name}.py in ../statements; change it there."""\n']
    for constant, value in vars(found).items():
        if constant.isupper():
            lines.append(f"{constant} = {written(value)}\n")
    return "\n".join(lines)


def fresh() -> Iterator[tuple[Path, str]]:
    """Every file that should be there, and what it should hold."""
    yield _OUT / "__init__.py", '"""The texts of the statements in ../statements, written by `make sql`."""\n'
    for found in iter_modules(statements.__path__):
        if found.name not in _NOT_WRITTEN:
            yield _OUT / f"{found.name}.py", module(found.name)


def main() -> int:
    """Write; 1 when --check finds a difference."""
    wanted = dict(fresh())
    there = {file: file.read_text() for file in _OUT.glob("*.py")}
    stale = sorted(file for file in wanted.keys() | there.keys() if wanted.get(file) != there.get(file))
    if "--check" in sys.argv[1:]:
        if stale:
            sys.stderr.write(f"stale texts of statements, run `make sql`: {', '.join(map(str, stale))}\n")
        return 1 if stale else 0
    for file in stale:
        if file in wanted:
            file.write_text(wanted[file])
        else:
            file.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
