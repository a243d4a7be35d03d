# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""Requirements 1, 4 and 9: bindings are entries with a principal's ID, and the Entry API does not unbind them."""

from dataclasses import replace
from typing import Any

import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.governance.bindings import NewBinding, tell_deleted
from assay_server.governance.principal_state import Move
from assay_server.model.governed.principal import ActorType
from assay_server.registration.bundles import BundleService, DeleteMode
from assay_server.registration.entries import EntryService, EntryUpdate, Registered

TD = TrustDomain("example.org")
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/one")
BOT = SpiffeId.parse("spiffe://example.org/principal/bot")
ME = "local:1000"


@pytest.fixture
def entries(house: Any) -> EntryService:
    return EntryService(house.store, house.clock, TD, tell_deleted)


def plain(spiffe_id: SpiffeId, **fields: Any) -> Entry:
    return replace(Entry("", spiffe_id, AGENT, (Selector("unix", "uid:7"),)), **fields)


async def test_a_binding_has_the_principals_id_and_is_withheld_until_it_is_active(house: Any) -> None:
    await house.register()
    entry = await house.bind(instance_from="unix:process")
    assert (entry.spiffe_id, entry.principal, entry.instance_from, entry.withheld) == (BOT, "bot", "unix:process", True)
    assert await house.entry(entry.id) == entry
    await house.move("bot", Move.ACTIVATE)
    assert not (await house.entry(entry.id)).withheld
    assert not (await house.bind(selector="unix:uid:2")).withheld


async def test_each_principal_has_bindings_of_its_own(house: Any) -> None:
    """Requirement 9: suspending one leaves the other's alone."""
    await house.activate()
    await house.activate("other")
    mine, other = await house.bind(), await house.bind("other")
    await house.move("bot", Move.SUSPEND)
    assert (await house.entry(mine.id)).withheld
    assert not (await house.entry(other.id)).withheld


@pytest.mark.parametrize(
    ("binding", "error"),
    [
        (NewBinding("bot", AGENT, ()), InvalidArgumentError),
        (NewBinding("bot", SpiffeId.parse("spiffe://other.org/x"), (Selector("unix", "uid:1"),)), InvalidArgumentError),
        (NewBinding("bot", AGENT, (Selector("unix", "uid:1"),), "unix:uid"), InvalidArgumentError),
        (NewBinding("bot", AGENT, (Selector("unix", "uid:1"),), x509_svid_ttl=-1), InvalidArgumentError),
        (NewBinding("bot", AGENT, (Selector("unix", "uid:1"),), hint="x" * 2000), InvalidArgumentError),
        (NewBinding("flat", AGENT, (Selector("unix", "uid:1"),), "unix:process"), FailedPreconditionError),
        (NewBinding("ann", AGENT, (Selector("unix", "uid:1"),)), FailedPreconditionError),
        (NewBinding("none", AGENT, (Selector("unix", "uid:1"),)), NotFoundError),
        (NewBinding("bot", AGENT, (Selector("unix", "uid:9"),)), AlreadyExistsError),
    ],
)
async def test_what_cannot_be_bound(house: Any, binding: NewBinding, error: type[Exception]) -> None:
    await house.register()
    await house.register("flat", id_template="/flat/{name}")
    await house.register("ann", actor_type=ActorType.HUMAN, tools=())
    await house.bind(selector="unix:uid:9")
    before = await house.events()
    with pytest.raises(error):
        await house.bindings.bind(binding, ME)
    assert await house.events() == before


async def test_two_principals_never_share_an_id(house: Any) -> None:
    """Requirement 4."""
    await house.register("a", id_template="/x/{name}")
    await house.register("x", id_template="/{name}/a")
    await house.bind("a")
    with pytest.raises(FailedPreconditionError, match='belongs to principal "a"'):
        await house.bind("x", selector="unix:uid:2")


async def test_an_id_that_a_plain_entry_has_is_not_a_principals(house: Any, entries: EntryService) -> None:
    await house.register()
    await entries.create([plain(BOT)])
    with pytest.raises(FailedPreconditionError, match="belongs to no principal"):
        await house.bind()


@pytest.mark.parametrize(
    ("path", "governed"),
    [
        ("/principal/bot", True),
        ("/principal/bot/2abc", True),
        ("/principal/bot/2abc/x", False),
        ("/principal/flat", True),
        ("/principal/flat/below", False),
        ("/principal", False),
        ("/principal/other", False),
    ],
)
async def test_plain_entries_cannot_have_a_principals_id(
    house: Any, entries: EntryService, path: str, governed: bool
) -> None:
    """Requirement 14: else its tokens could be had without a task."""
    await house.register()
    await house.register("flat")
    await house.bind(instance_from="unix:process")
    await house.bind("flat")
    (made,) = await entries.create([plain(SpiffeId(TD, path))])
    assert isinstance(made, FailedPreconditionError if governed else Registered)
    (other,) = await entries.create([plain(SpiffeId(TD, "/mine"))])
    assert isinstance(other, Registered)
    moved = EntryUpdate(replace(other.entry, spiffe_id=SpiffeId(TD, path)), frozenset({"spiffe_id"}))
    (updated,) = await entries.update([moved])
    assert isinstance(updated, FailedPreconditionError if governed else Entry)


async def test_the_entry_api_keeps_what_makes_an_entry_a_binding(house: Any, entries: EntryService) -> None:
    await house.register()
    bound = await house.bind(instance_from="unix:process")
    # As SPIRE's command line sends it: whole, and without what SPIRE has no word for.
    sent = plain(BOT, id=bound.id, x509_svid_ttl=60, selectors=(Selector("unix", "uid:8"),))
    (updated,) = await entries.update([EntryUpdate(sent)])
    assert isinstance(updated, Entry)
    assert (updated.principal, updated.instance_from, updated.withheld) == ("bot", "unix:process", True)
    assert (updated.x509_svid_ttl, updated.selectors, updated.revision) == (60, sent.selectors, bound.revision + 1)
    assert await house.entry(bound.id) == updated


@pytest.mark.parametrize(
    "changes",
    [
        {"spiffe_id": SpiffeId(TD, "/else")},
        {"admin": True},
        {"downstream": True},
        {"expires_at": 2**40},
        {"store_svid": True},
    ],
)
async def test_the_entry_api_gives_a_binding_no_standing_of_its_own(
    house: Any, entries: EntryService, changes: dict[str, Any]
) -> None:
    """Requirement 46: an administrator's privilege is not had by way of an entry's flag either."""
    await house.register()
    bound = await house.bind()
    (refused,) = await entries.update([EntryUpdate(replace(bound, **changes), frozenset(changes))])
    assert isinstance(refused, FailedPreconditionError)
    assert 'binding of principal "bot"' in refused.message
    assert await house.entry(bound.id) == bound


async def test_deleting_a_binding_as_an_entry_is_written_down(house: Any, entries: EntryService) -> None:
    await house.register()
    bound = await house.bind()
    assert await entries.delete([bound.id], "spiffe://example.org/admin") == [None]
    event = (await house.events("bot"))[-1]
    assert (event.type.value, event.subject, event.actor) == ("binding.changed", bound.id, "spiffe://example.org/admin")
    assert (event.details["change"], event.details["selectors"]) == ("unbound", ["unix:uid:1"])
    assert await house.entry(bound.id) is None


async def test_where_nobody_writes_it_down_a_binding_is_not_deleted(house: Any) -> None:
    await house.register()
    bound = await house.bind()
    (refused,) = await EntryService(house.store, house.clock, TD).delete([bound.id])
    assert isinstance(refused, FailedPreconditionError)
    assert await house.entry(bound.id) == bound


async def test_a_bundle_that_goes_takes_no_binding_with_it(house: Any, entries: EntryService) -> None:
    foreign = TrustDomain("other.org")
    await house.store.write(lambda tx: tx.bundles.put(Bundle(foreign)))
    await house.register()
    bound = await house.bind()
    await entries.update([EntryUpdate(replace(bound, federates_with=(foreign,)), frozenset({"federates_with"}))])
    assert await BundleService(house.store, TD).delete([foreign], DeleteMode.DELETE) == [None]
    assert (await house.entry(bound.id)).federates_with == ()


async def test_unbinding_is_for_the_principals_own(house: Any) -> None:
    await house.register()
    await house.register("other")
    bound = await house.bind()
    for name, entry_id in (("other", bound.id), ("bot", "none"), ("", bound.id)):
        with pytest.raises(NotFoundError):
            await house.bindings.unbind(name, entry_id, ME)
    assert (await house.bindings.unbind("bot", bound.id, ME)).id == bound.id
    assert await house.entry(bound.id) is None


async def test_a_template_stays_while_bindings_have_its_ids(house: Any) -> None:
    await house.register()
    bound = await house.bind()
    with pytest.raises(FailedPreconditionError, match="IDs of its template"):
        await house.principals.update(replace(house.whole, id_template="/x/{name}"), ("id_template",), ME)
    await house.bindings.unbind("bot", bound.id, ME)
    await house.principals.update(replace(house.whole, id_template="/x/{name}"), ("id_template",), ME)
    assert (await house.bind()).spiffe_id.path == "/x/bot"


async def test_bindings_are_told_from_plain_entries(house: Any, entries: EntryService) -> None:
    await house.register()
    bound = await house.bind()
    (made,) = await entries.create([plain(SpiffeId(TD, "/plain"))])
    assert isinstance(made, Registered)
    assert await house.bindings.among([made.entry.id, bound.id, "none"]) == [bound]
