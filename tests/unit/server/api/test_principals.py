"""assay.governance.v1.Principals and Catalogue over real gRPC: who is said to have done it, and what is refused."""

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import grpc
import pytest

from assay.entry import Entry
from assay.rpc.method import Service
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import FakeClock
from assay.wire import entry as entry_wire
from assay.wire.service import ENTRY, served
from assay_proto.governance.v1 import registration_pb2 as pb
from assay_proto.governance.v1.registration_pb2_grpc import CatalogueStub, OwnersStub, PrincipalsStub
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_server.api.entry import EntryApi
from assay_server.authorization.caller import Caller, CallerKind, Credential
from assay_server.authorization.index import AuthorizedEntries
from assay_server.datastore.base import Page
from assay_server.datastore.sql.store import SqlStore
from assay_server.governing import unbound
from assay_server.governing_registration import Registration
from assay_server.registration import EntryService

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]

TD = TrustDomain("example.org")
ADMIN = Caller(CallerKind.ADMIN, Credential(SpiffeId(TD, "/admin"), serial="1", expires_at=2**40))
LOCAL = Caller(CallerKind.LOCAL)
INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND


@pytest.fixture
def registration(store: SqlStore, clock: FakeClock) -> Registration:
    return Registration(store, clock, TD)


async def test_events_say_who_did_it(registration: Registration, store: SqlStore, serve: Serve) -> None:
    owners = OwnersStub(await serve(registration.owners(), ADMIN))
    await owners.Add(pb.OwnerName(name="team:a"))
    (event,) = (await store.read(lambda tx: tx.events.find(Page())))[0]
    assert (event.actor, event.subject) == ("spiffe://example.org/admin", "team:a")


@pytest.mark.parametrize(
    ("method", "request_", "code", "words"),
    [
        ("Register", pb.Principal(name="bot"), INVALID, "actor type is missing"),
        ("Register", pb.Principal(name="bot", actor_type="robot"), INVALID, "unknown actor type"),
        ("Register", pb.Principal(name="bot", actor_type="service", risk_class="grave"), INVALID, "unknown risk class"),
        ("Register", pb.Principal(name="bot", actor_type="service", triggers=[""]), INVALID, "trigger is missing"),
        ("Register", pb.Principal(name="bot", actor_type="service"), INVALID, "has no owner"),
        ("Update", pb.UpdateRequest(principal=pb.Principal(name="bot"), fields=["state"]), INVALID, "never changed"),
        ("List", pb.ListPrincipalsRequest(state="asleep"), INVALID, "unknown state"),
        ("List", pb.ListPrincipalsRequest(actor_type="robot"), INVALID, "unknown actor type"),
        ("List", pb.ListPrincipalsRequest(page_size=1, page_token="x"), INVALID, "could not parse token"),
        ("Get", pb.PrincipalName(), MISSING, "there is no principal"),
        ("Bind", pb.BindRequest(principal="bot", parent_id="x"), INVALID, "invalid parent ID: scheme is missing"),
        ("Bind", pb.BindRequest(principal="bot", parent_id="spiffe://e/x", selectors=["uid"]), INVALID, "type:value"),
        ("Unbind", pb.UnbindRequest(), MISSING, "has no binding"),
        ("Retire", pb.ChangeRequest(name="bot", reason="x" * 5000), INVALID, "reason is too long"),
    ],
)
async def test_what_is_malformed_is_refused_and_writes_nothing(
    registration: Registration,
    store: SqlStore,
    serve: Serve,
    method: str,
    request_: Any,  # noqa: ANN401 - a message
    code: grpc.StatusCode,
    words: str,
) -> None:
    principals = PrincipalsStub(await serve(registration.principals(), LOCAL))
    with pytest.raises(grpc.aio.AioRpcError, match=words) as refused:
        await getattr(principals, method)(request_)
    assert refused.value.code() is code
    assert await store.read(lambda tx: tx.events.find(Page())) == ([], "")


async def test_an_update_need_not_say_what_it_does_not_change(registration: Registration, serve: Serve) -> None:
    catalogue = CatalogueStub(await serve(registration.catalogue(), LOCAL))
    crm = pb.Resource(uri="https://crm", environment="prod", sensitivity="internal", data_classes=["a"])
    assert await catalogue.AddResource(crm) == crm
    changed = pb.UpdateResourceRequest(resource=pb.Resource(uri="https://crm", tenant="acme"), fields=["tenant"])
    assert (await catalogue.UpdateResource(changed)).data_classes == ["a"]
    changed.fields.append("sensitivity")
    with pytest.raises(grpc.aio.AioRpcError, match="sensitivity is missing"):
        await catalogue.UpdateResource(changed)
    assert (await catalogue.GetResource(pb.Named(name="https://crm"))).tenant == "acme"


async def test_the_entry_api_says_that_an_entry_is_a_binding_and_who_may_change_it(
    store: SqlStore, clock: FakeClock, serve: Serve
) -> None:
    ids = SpiffeId(TD, "/principal/bot"), SpiffeId(TD, "/node")
    bound = Entry("b", *ids, (Selector("unix", "uid:1"),), principal="bot")
    other = replace(bound, id="", selectors=(Selector("unix", "uid:2"),))
    await store.write(lambda tx: tx.entries.create(bound))
    service = EntryService(store, clock, TD, unbound)
    entries = EntryStub(await serve(served(ENTRY, EntryApi(service, AuthorizedEntries(store, TD, clock), TD)), LOCAL))
    update = entry_pb2.BatchUpdateEntryRequest(entries=[entry_wire.to_proto(replace(bound, admin=True))])
    create = entry_pb2.BatchCreateEntryRequest(entries=[entry_wire.to_proto(other)])
    for status, words in (
        ((await entries.BatchUpdateEntry(update)).results[0].status, 'a binding of principal "bot", which cannot have'),
        ((await entries.BatchCreateEntry(create)).results[0].status, 'is an ID of principal "bot"'),
    ):
        assert status.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
        assert words in status.message
    await entries.BatchDeleteEntry(entry_pb2.BatchDeleteEntryRequest(ids=["b"]))
    (event,) = await store.read(lambda tx: tx.events.latest("bot", 9))
    assert (event.subject, event.actor) == ("b", f"local:{os.getuid()}")
