"""Statements over a list of values, made for a few lengths so that each is compiled once."""

from collections.abc import Callable, Collection, Iterator, Sequence

from sqlalchemy import BindParameter, bindparam
from sqlalchemy.sql import ClauseElement

from assay_server.datastore.sql.connection import Connection, Row

_LENGTHS = (1, 16, 64, 256)


class Listed:
    """Answers for any number of values: cut into pieces, each filled up with its last value to the next length."""

    def __init__(self, build: Callable[[Sequence[BindParameter[object]]], ClauseElement]) -> None:
        self._statements = {length: build(_parameters(length)) for length in _LENGTHS}

    def rows(self, connection: Connection, values: Collection[object]) -> list[Row]:
        """The rows of every piece; the statement's order holds within a piece only."""
        found: list[Row] = []
        for piece in _pieces(list(dict.fromkeys(values))):
            length = next(length for length in _LENGTHS if length >= len(piece))
            found += connection.listed(self._statements[length], piece + piece[-1:] * (length - len(piece)))
        return found


def _parameters(length: int) -> list[BindParameter[object]]:
    return [bindparam(f"v{n}") for n in range(length)]


def _pieces(values: list[object]) -> Iterator[list[object]]:
    for start in range(0, len(values), _LENGTHS[-1]):
        yield values[start : start + _LENGTHS[-1]]
