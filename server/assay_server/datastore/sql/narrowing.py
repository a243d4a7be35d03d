"""Where a listing of entries begins: of all that is asked for, with what the fewest entries have.

SQLite knows that there is an index, but not that everybody has the selector in it. So each condition can be written in
two ways: one that its index answers, and one that is looked up for entries found otherwise. What is begun with one
selector or trust domain walks along its index in the entries' order, and stops at the end of the page.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from assay_server.datastore.base import EntryFilter, Match
from assay_server.datastore.sql.connection import Connection, Values
from assay_server.datastore.sql.filters import Condition, asking, names_match, selectors_match
from assay_server.datastore.sql.text import entries as sql

MOST = 1000
"""Rows that are counted to compare conditions; beyond that all are alike."""

_LOOKED_AT = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """A listing or count, as a statement's beginning and its conditions."""

    listing: str
    counting: str
    conditions: Sequence[Condition]


@dataclass(frozen=True, slots=True)
class _Part:
    begin: Callable[[], Asked]
    check: Condition
    few: Callable[[], int]


def asked(connection: Connection, where: EntryFilter) -> Asked:
    """What finds these entries."""
    parts = [*_fields(connection, where), *_selectors(connection, where), *_trust_domains(connection, where)]
    if not parts:
        return Asked(sql.LISTING, sql.COUNT, ())
    first = parts[0] if len(parts) == 1 else min(parts, key=lambda part: part.few())
    begun = first.begin()
    checks = [part.check for part in parts if part is not first]
    return Asked(begun.listing, begun.counting, [*begun.conditions, *checks])


def _fields(connection: Connection, where: EntryFilter) -> Iterator[_Part]:
    if where.spiffe_id is not None:
        yield _field(connection, sql.OF_SPIFFE_ID, {"spiffe_id": str(where.spiffe_id)})
    if where.parent_id is not None:
        yield _field(connection, sql.OF_PARENT_ID, {"parent_id": str(where.parent_id)})
    if where.hint is not None:
        yield _field(connection, sql.OF_HINT, {"hint": where.hint})
    if where.downstream is not None:
        yield _field(connection, sql.OF_DOWNSTREAM, {"downstream": where.downstream})


def _field(connection: Connection, text: str, values: Values) -> _Part:
    condition = Condition(text, values)
    return _Part(
        lambda: Asked(sql.LISTING, sql.COUNT, [condition]),
        Condition(f"+{text}", values),  # SQLite uses no index for a column with a sign
        lambda: _count(connection, asking(sql.UP_TO, [condition]), values),
    )


def _selectors(connection: Connection, where: EntryFilter) -> Iterator[_Part]:
    if (wanted := where.selectors) is None:
        return
    begin, check = (selectors_match(texts, wanted) for texts in (sql.OF_SELECTORS, sql.CHECK_SELECTORS))
    rows: list[Values] = [{"type": one.type, "value": one.value} for one in dict.fromkeys(wanted.selectors)]
    texts = (sql.LISTING_BY_SELECTOR, sql.COUNT_BY_SELECTOR, sql.SELECTOR_UP_TO)
    yield _owned(connection, texts, begin, check, rows, wanted.match)


def _trust_domains(connection: Connection, where: EntryFilter) -> Iterator[_Part]:
    if (wanted := where.federates_with) is None:
        return
    names = [trust_domain.name for trust_domain in wanted.trust_domains]
    begin, check = (names_match(texts, names, wanted.match) for texts in (sql.OF_FEDERATION, sql.CHECK_FEDERATION))
    rows: list[Values] = [{"trust_domain": name} for name in dict.fromkeys(names)]
    texts = (sql.LISTING_BY_TRUST_DOMAIN, sql.COUNT_BY_TRUST_DOMAIN, sql.TRUST_DOMAIN_UP_TO)
    yield _owned(connection, texts, begin, check, rows, wanted.match)


def _owned(
    connection: Connection,
    texts: tuple[str, str, str],
    begin: Condition,
    check: Condition,
    rows: Sequence[Values],
    match: Match,
) -> _Part:
    listing, counting, up_to = texts

    def few(row: Values) -> int:
        return _count(connection, up_to, row)

    if len(rows) > 1 and match in {Match.ANY, Match.SUBSET}:
        return _Part(
            lambda: Asked(sql.LISTING, sql.COUNT, [begin]),
            check,
            lambda: sum(map(few, rows)) if len(rows) <= _LOOKED_AT else MOST * len(rows),
        )
    # Whoever has all of them has the rarest.
    rarest = min(rows[:_LOOKED_AT], key=few) if len(rows) > 1 else rows[0]
    found = Condition(check.text, {**check.values, **rarest})
    return _Part(lambda: Asked(listing, counting, [found]), check, lambda: few(rarest))


def _count(connection: Connection, statement: str, values: Values) -> int:
    return int(connection.rows(statement, {**values, "most": MOST})[0][0])
