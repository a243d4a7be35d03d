"""No question about entries reads them all, whatever is asked for together: what the fewest have comes first."""

from collections.abc import Iterator
from itertools import count, product
from typing import Any

import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import EntryFilter, Match, SelectorFilter, Transaction, TrustDomainFilter
from assay_server.datastore.sql.connection import Connection
from assay_server.datastore.sql.filters import asking
from assay_server.datastore.sql.narrowing import asked
from assay_server.datastore.sql.store import SqlStore
from assay_server.datastore.sql.text import entries as sql

COMMON, RARE = Selector("unix", "uid:1"), Selector("unix", "gid:7")
FOREIGN = [TrustDomain(name) for name in ("a.org", "b.org")]
PARENT = SpiffeId.parse("spiffe://example.org/agent")
ID = SpiffeId.parse("spiffe://example.org/w7")

FIELDS: dict[str, list[Any]] = {
    "spiffe_id": [None, ID],
    "parent_id": [None, PARENT],
    "hint": [None, "hint"],
    "downstream": [None, True],
    "selectors": [None, *(SelectorFilter((COMMON, RARE), match) for match in Match)],
    "federates_with": [None, *(TrustDomainFilter(tuple(FOREIGN), match) for match in Match)],
}
ALONE = {
    **{name: EntryFilter(**{name: FIELDS[name][-1]}) for name in ("spiffe_id", "parent_id", "hint", "downstream")},
    **{f"selectors {match.name}": EntryFilter(selectors=SelectorFilter((COMMON, RARE), match)) for match in Match},
    **{f"selector {match.name}": EntryFilter(selectors=SelectorFilter((COMMON,), match)) for match in Match},
    **{
        f"federates_with {match.name}": EntryFilter(federates_with=TrustDomainFilter(tuple(FOREIGN), match))
        for match in Match
    },
    **{
        f"federates_with one {match.name}": EntryFilter(federates_with=TrustDomainFilter(tuple(FOREIGN[:1]), match))
        for match in Match
    },
}
INDEX = {
    "spiffe_id": ("entries_spiffe_id", "entries_likeness"),
    "parent_id": ("entries_parent_id",),
    "hint": ("entries_hint",),
    "downstream": ("entries_downstream",),
    "selectors": ("entry_selectors_value",),
    "selector": ("entry_selectors_value",),
    "federates_with": ("entry_federates_with_trust_domain",),
}
NUMBERS = count()
FILTERS = [EntryFilter(**dict(zip(FIELDS, values, strict=True))) for values in product(*FIELDS.values()) if any(values)]


@pytest.fixture
async def connection(store: SqlStore) -> Connection:
    """The writer's, with entries that all have one selector, and each one of its own."""

    def fill(tx: Transaction) -> None:
        for trust_domain in FOREIGN:
            tx.bundles.put(Bundle(trust_domain))
        for number in range(40):
            tx.entries.create(
                Entry(
                    id=f"e{number}",
                    spiffe_id=SpiffeId(ID.trust_domain, f"/w{number}"),
                    parent_id=PARENT,
                    selectors=(COMMON, Selector("unix", f"gid:{number}")),
                    federates_with=tuple(FOREIGN[: number % 3]),
                    hint="hint" if number % 2 else "",
                    downstream=number % 5 == 0,
                )
            )

    await store.write(fill)
    return store._pipeline._group._connection


def plans(connection: Connection, where: EntryFilter) -> Iterator[list[str]]:
    """How SQLite goes about listing a page and counting."""
    found = asked(connection, where)
    values = {"after": 0, "size": 10, **{name: value for one in found.conditions for name, value in one.values.items()}}
    listing = asking(found.listing.replace("{where}", f"{sql.AFTER} AND {{where}}"), found.conditions)
    for statement in (listing, asking(found.counting, found.conditions)):
        # A text that is not known yet: explaining one again does not look whether the schema is another.
        yield [row[-1] for row in connection.rows(f"EXPLAIN QUERY PLAN {statement} -- {next(NUMBERS)}", values)]


def scans(plan: list[str]) -> list[str]:
    return [step for step in plan if step.startswith("SCAN") and "VIRTUAL TABLE" not in step]


def walks(plan: list[str]) -> list[str]:
    """Steps that go through all of a table from where the page begins."""
    return [step for step in plan if step.endswith(("(rowid>?)", "(entry>?)"))]


async def test_no_combination_of_filters_reads_a_table(connection: Connection) -> None:
    assert len(FILTERS) == 2**4 * 5**2 - 1
    for where in FILTERS:
        for plan in plans(connection, where):
            assert (scans(plan), walks(plan)) == ([], []), where


@pytest.mark.parametrize("name", ALONE)
async def test_without_its_index_a_filter_would_read_a_table(connection: Connection, name: str) -> None:
    for plan in plans(connection, ALONE[name]):
        assert (scans(plan), walks(plan)) == ([], [])
    for index in INDEX[name.partition(" ")[0]]:
        connection.run(f"DROP INDEX {index}")
    assert all(scans(plan) or walks(plan) for plan in plans(connection, ALONE[name]))


@pytest.mark.parametrize("name", ALONE)
async def test_a_page_comes_in_order_and_is_not_sorted(connection: Connection, name: str) -> None:
    listing, _ = plans(connection, ALONE[name])
    assert [step for step in listing if "TEMP B-TREE FOR ORDER BY" in step] == []


async def test_what_the_fewest_have_is_begun_with(connection: Connection) -> None:
    both = SelectorFilter((COMMON, RARE), Match.SUPERSET)
    found = asked(connection, EntryFilter(parent_id=PARENT, selectors=both))
    assert found.listing == sql.LISTING_BY_SELECTOR
    assert {"type": "unix", "value": "gid:7"}.items() <= found.conditions[0].values.items()
    found = asked(connection, EntryFilter(spiffe_id=ID, selectors=SelectorFilter((COMMON,), Match.ANY)))
    assert (found.listing, found.conditions[0].text) == (sql.LISTING, sql.OF_SPIFFE_ID)


async def test_of_a_list_too_long_to_look_at_only_the_beginning_is_compared(connection: Connection) -> None:
    many = tuple(Selector("unix", f"gid:{number}") for number in range(30))
    found = asked(connection, EntryFilter(spiffe_id=ID, selectors=SelectorFilter(many, Match.ANY)))
    assert found.conditions[0].text == sql.OF_SPIFFE_ID
