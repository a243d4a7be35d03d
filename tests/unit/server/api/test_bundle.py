from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from assay.bundle import Bundle
from assay.entry import Entry
from assay.rpc.method import Service
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.wire import bundle as bundle_wire
from assay.wire.service import BUNDLE, served
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2 as pb
from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleStub
from assay_proto.spire.api.types.bundle_pb2 import Bundle as Message
from assay_proto.spire.api.types.bundle_pb2 import BundleMask, JWTKey, WITKey, X509Certificate
from assay_server.api.bundle import BundleApi
from assay_server.authorization.caller import Caller, CallerKind
from assay_server.authorization.ratelimit import RateLimits
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import SqlStore
from assay_server.model.rates import Rates
from assay_server.registration import BundleService

if TYPE_CHECKING:
    from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]

TD = TrustDomain("example.org")
NORTH = TrustDomain("north.test")
RESTRICT = pb.BatchDeleteFederatedBundleRequest.RESTRICT
OK, INVALID, MISSING, EXISTS, PRECONDITION = 0, 3, 5, 6, 9


@pytest.fixture(scope="module")
def north() -> Bundle:
    return replace(Authority("north.test").bundle, refresh_hint=60, sequence=5)


@pytest.fixture
async def stub(serve: Serve, store: SqlStore, clock: FakeClock) -> "BundleAsyncStub":
    api = BundleApi(BundleService(store, TD), RateLimits(Rates(), clock))
    return BundleStub(await serve(served(BUNDLE, api), Caller(CallerKind.LOCAL)))


def message(bundle: Bundle) -> Message:
    return bundle_wire.to_proto(bundle)


async def create(stub: "BundleAsyncStub", *bundles: Message) -> list[Any]:
    return list((await stub.BatchCreateFederatedBundle(pb.BatchCreateFederatedBundleRequest(bundle=bundles))).results)


async def set_(stub: "BundleAsyncStub", *bundles: Message) -> list[Any]:
    return list((await stub.BatchSetFederatedBundle(pb.BatchSetFederatedBundleRequest(bundle=bundles))).results)


async def update(stub: "BundleAsyncStub", *bundles: Message, mask: BundleMask | None = None) -> list[Any]:
    request = pb.BatchUpdateFederatedBundleRequest(bundle=bundles, input_mask=mask)
    return list((await stub.BatchUpdateFederatedBundle(request)).results)


async def delete(
    stub: "BundleAsyncStub", *names: str, mode: pb.BatchDeleteFederatedBundleRequest.Mode.ValueType = RESTRICT
) -> list[tuple[str, int, str]]:
    request = pb.BatchDeleteFederatedBundleRequest(trust_domains=names, mode=mode)
    results = (await stub.BatchDeleteFederatedBundle(request)).results
    return [(each.trust_domain, each.status.code, each.status.message) for each in results]


async def get(stub: "BundleAsyncStub", name: str = "north.test") -> Message:
    return await stub.GetFederatedBundle(pb.GetFederatedBundleRequest(trust_domain=name))


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return refusal.value.code(), refusal.value.details() or ""


async def test_our_own_bundle_is_there_once_an_authority_is_published(stub: "BundleAsyncStub", store: SqlStore) -> None:
    missing = (grpc.StatusCode.NOT_FOUND, "bundle not found")
    assert await refused(stub.GetBundle(pb.GetBundleRequest())) == missing
    own = Authority("example.org").bundle
    await store.write(lambda tx: tx.bundles.put(own))
    assert await stub.GetBundle(pb.GetBundleRequest()) == message(own)
    masked = await stub.GetBundle(pb.GetBundleRequest(output_mask=BundleMask(sequence_number=True)))
    assert masked == Message(trust_domain="example.org", sequence_number=own.sequence)


async def test_authorities_are_appended_once_and_raise_the_sequence(stub: "BundleAsyncStub", north: Bundle) -> None:
    request = pb.AppendBundleRequest(
        x509_authorities=message(north).x509_authorities, jwt_authorities=message(north).jwt_authorities
    )
    first = await stub.AppendBundle(request)
    assert (first.trust_domain, first.sequence_number) == ("example.org", 1)
    assert first.x509_authorities == message(north).x509_authorities
    assert first.jwt_authorities == message(north).jwt_authorities
    assert await stub.AppendBundle(request) == first
    other = message(Authority("south.test").bundle)
    more = await stub.AppendBundle(pb.AppendBundleRequest(x509_authorities=other.x509_authorities))
    assert (len(more.x509_authorities), more.sequence_number) == (2, 2)


@pytest.mark.parametrize(
    ("request_", "wanted"),
    [
        (pb.AppendBundleRequest(), "no authorities to append"),
        (pb.AppendBundleRequest(x509_authorities=[X509Certificate(asn1=b"x")]), "failed to convert X.509 authority: "),
        (
            pb.AppendBundleRequest(jwt_authorities=[JWTKey(public_key=b"x", key_id="k")]),
            "failed to convert JWT authority: ",
        ),
    ],
)
async def test_authorities_that_are_none_are_not_appended(
    stub: "BundleAsyncStub", request_: pb.AppendBundleRequest, wanted: str
) -> None:
    code, details = await refused(stub.AppendBundle(request_))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith(wanted)
    assert (await stub.CountBundles(pb.CountBundlesRequest())).count == 0


@pytest.mark.spec("WIT-6.1-c")
async def test_wit_authorities_are_appended_under_ids_of_their_own(stub: "BundleAsyncStub") -> None:
    bundle = message(Authority("north.test", wit=True).bundle)
    jwt, wit = bundle.jwt_authorities, bundle.wit_authorities
    first = await stub.AppendBundle(pb.AppendBundleRequest(jwt_authorities=jwt, wit_authorities=wit))
    assert (first.wit_authorities, first.sequence_number) == (wit, 1)
    taken = WITKey(public_key=wit[0].public_key, key_id=jwt[0].key_id)
    code, details = await refused(stub.AppendBundle(pb.AppendBundleRequest(wit_authorities=[taken])))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details == f'key ID "{jwt[0].key_id}" is that of a JWT authority and of a WIT authority'
    code, details = await refused(stub.AppendBundle(pb.AppendBundleRequest(wit_authorities=[WITKey(key_id="x")])))
    assert details.startswith("failed to convert WIT authority: ")


@pytest.mark.spec("WIT-6.1-c")
async def test_a_foreign_bundle_with_wit_authorities_is_kept_whole(stub: "BundleAsyncStub") -> None:
    bundle = message(Authority("north.test", wit=True).bundle)
    (created,) = await create(stub, bundle)
    assert (created.status.code, created.bundle, await get(stub)) == (OK, bundle, bundle)
    bundle.wit_authorities[0].key_id = bundle.jwt_authorities[0].key_id
    answer = await stub.BatchSetFederatedBundle(pb.BatchSetFederatedBundleRequest(bundle=[bundle]))
    assert answer.results[0].status.code == INVALID


async def test_a_jwt_authority_needs_a_key_id(stub: "BundleAsyncStub", north: Bundle) -> None:
    key = JWTKey(public_key=north.jwt_authorities[0].public_key)
    code, details = await refused(stub.AppendBundle(pb.AppendBundleRequest(jwt_authorities=[key])))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details == "failed to convert JWT authority: missing key ID"


async def test_a_federated_bundle_is_created_once(stub: "BundleAsyncStub", north: Bundle) -> None:
    first, second = await create(stub, message(north), message(north))
    assert (first.status.code, first.bundle) == (OK, message(north))
    assert (second.status.code, second.status.message) == (EXISTS, "bundle already exists")
    assert await get(stub) == message(north)


async def test_clients_cannot_taint_authorities(stub: "BundleAsyncStub", north: Bundle) -> None:
    given = message(north)
    given.x509_authorities[0].tainted = given.jwt_authorities[0].tainted = True
    [result] = await set_(stub, given)
    assert result.bundle == message(north)


@pytest.mark.spec("FED-4.2-d")
async def test_setting_creates_and_replaces_and_keeps_the_number_that_was_set(
    stub: "BundleAsyncStub", north: Bundle
) -> None:
    [created] = await set_(stub, message(north))
    [same] = await set_(stub, message(replace(north, sequence=0)))
    [shorter] = await set_(stub, message(replace(north, jwt_authorities=(), sequence=0)))
    [higher] = await set_(stub, message(replace(north, sequence=50)))
    numbers = [each.bundle.sequence_number for each in (created, same, shorter, higher)]
    assert numbers == [5, 0, 0, 50]
    assert not shorter.bundle.jwt_authorities
    assert await get(stub) == higher.bundle


async def test_a_sequence_number_may_be_the_largest_there_is(stub: "BundleAsyncStub", north: Bundle) -> None:
    [first] = await set_(stub, Message(trust_domain="north.test", sequence_number=2**64 - 1))
    assert (first.status.code, first.bundle.sequence_number) == (OK, 2**64 - 1)
    [second] = await set_(stub, message(replace(north, sequence=2**64 - 1)))
    assert second.bundle == message(replace(north, sequence=2**64 - 1))


async def test_an_update_changes_what_the_mask_names(stub: "BundleAsyncStub", north: Bundle) -> None:
    await create(stub, message(north))
    change = Message(trust_domain="north.test", refresh_hint=9, sequence_number=77)
    [hint] = await update(stub, change, mask=BundleMask(refresh_hint=True))
    assert (hint.bundle.refresh_hint, hint.bundle.sequence_number) == (9, 5)
    assert hint.bundle.x509_authorities == message(north).x509_authorities
    [number] = await update(stub, change, mask=BundleMask(sequence_number=True))
    assert number.bundle.sequence_number == 77
    [whole] = await update(stub, change)
    assert whole.bundle == Message(trust_domain="north.test", refresh_hint=9, sequence_number=77)
    [missing] = await update(stub, Message(trust_domain="south.test"))
    assert (missing.status.code, missing.status.message) == (MISSING, "bundle not found")


@pytest.mark.parametrize(("verb", "call"), [("creating", create), ("setting", set_), ("updating", update)])
@pytest.mark.spec("ID-2.1.1-a")
async def test_a_bad_bundle_fails_alone(
    stub: "BundleAsyncStub", north: Bundle, verb: str, call: Callable[..., Awaitable[list[Any]]]
) -> None:
    await set_(stub, message(north))
    if verb == "creating":
        await delete(stub, "north.test")
    own, name, empty, authority, good = await call(
        stub,
        Message(trust_domain="example.org"),
        Message(trust_domain="North.test"),
        Message(),
        Message(trust_domain="west.test", x509_authorities=[X509Certificate(asn1=b"x")]),
        message(north),
    )
    assert [each.status.code for each in (own, name, empty, authority, good)] == [INVALID] * 4 + [OK]
    assert own.status.message == f"{verb} a federated bundle for the server's own trust domain is not allowed"
    assert name.status.message.startswith("trust domain argument is not valid: trust domain characters are limited")
    assert empty.status.message == "trust domain argument is not valid: trust domain is missing"
    assert authority.status.message.startswith("failed to convert bundle: unable to parse X.509 authority: ")
    assert (await stub.CountBundles(pb.CountBundlesRequest())).count == 1


async def test_a_federated_bundle_can_be_looked_up_by_name_only(stub: "BundleAsyncStub") -> None:
    code = grpc.StatusCode.INVALID_ARGUMENT
    assert await refused(get(stub, "example.org")) == (
        code, "getting a federated bundle for the server's own trust domain is not allowed"
    )  # fmt: skip
    assert await refused(get(stub, "")) == (code, "trust domain argument is not valid: trust domain is missing")
    assert await refused(get(stub)) == (grpc.StatusCode.NOT_FOUND, "bundle not found")


async def test_federated_bundles_are_listed_without_our_own(stub: "BundleAsyncStub", store: SqlStore) -> None:
    names = [TD, *(TrustDomain(f"t{number}.test") for number in range(4))]

    def put_all(tx: Transaction) -> None:
        for name in names:
            tx.bundles.put(Bundle(name, refresh_hint=3))

    await store.write(put_all)
    found: list[Message] = []
    token = ""
    while True:
        request = pb.ListFederatedBundlesRequest(
            page_size=2, page_token=token, output_mask=BundleMask(refresh_hint=False)
        )
        response = await stub.ListFederatedBundles(request)
        found += response.bundles
        token = response.next_page_token
        if not token:
            break
    assert found == [Message(trust_domain=f"t{number}.test") for number in range(4)]
    assert (await stub.CountBundles(pb.CountBundlesRequest())).count == 5


async def test_deleting_names_what_is_wrong(stub: "BundleAsyncStub", north: Bundle) -> None:
    await create(stub, message(north))
    assert await delete(stub, "example.org", "", "south.test", "north.test") == [
        ("example.org", INVALID, "removing the bundle for the server trust domain is not allowed"),
        ("", INVALID, "trust domain argument is not valid: trust domain is missing"),
        ("south.test", MISSING, "bundle not found"),
        ("north.test", OK, "OK"),
    ]
    code, details = await refused(delete(stub, "north.test", mode=9))  # type: ignore[arg-type]
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("failed to parse deletion mode: ")


@pytest.fixture
async def federated(store: SqlStore, north: Bundle) -> Entry:
    south = TrustDomain("south.test")
    made = Entry(
        "e",
        SpiffeId(TD, "/web"),
        SpiffeId(TD, "/spire/agent/one"),
        (Selector("unix", "uid:1"),),
        federates_with=(NORTH, south),
    )
    await store.write(lambda tx: tx.bundles.put(north))
    await store.write(lambda tx: tx.bundles.put(Bundle(south)))
    await store.write(lambda tx: tx.entries.create(made))
    return made


@pytest.mark.usefixtures("federated")
async def test_restrict_keeps_a_bundle_that_entries_federate_with(stub: "BundleAsyncStub") -> None:
    [(_, code, text)] = await delete(stub, "north.test")
    assert code == PRECONDITION
    assert text.startswith(
        "failed to delete federated bundle: datastore-sql: cannot delete bundle; federated with 1 registration entries"
    )
    assert (await get(stub)).trust_domain == "north.test"


@pytest.mark.usefixtures("federated")
async def test_delete_takes_the_entries_along(stub: "BundleAsyncStub", store: SqlStore) -> None:
    assert await delete(stub, "north.test", mode=pb.BatchDeleteFederatedBundleRequest.DELETE) == [
        ("north.test", OK, "OK")
    ]
    assert await store.read(lambda tx: tx.entries.get("e")) is None


@pytest.mark.spec("FED-6.3-a")
async def test_dissociate_has_the_entries_forget_the_bundle(
    stub: "BundleAsyncStub", store: SqlStore, federated: Entry
) -> None:
    assert await delete(stub, "north.test", mode=pb.BatchDeleteFederatedBundleRequest.DISSOCIATE) == [
        ("north.test", OK, "OK")
    ]
    left = await store.read(lambda tx: tx.entries.get("e"))
    assert left == replace(federated, federates_with=(TrustDomain("south.test"),), revision=1)


async def test_publishing_is_not_built(stub: "BundleAsyncStub") -> None:
    code, _ = await refused(stub.PublishJWTAuthority(pb.PublishJWTAuthorityRequest()))
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert await refused(stub.PublishWITAuthority(pb.PublishWITAuthorityRequest())) == (
        code, "WIT-SVID functionality is not yet implemented"
    )  # fmt: skip
