from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from structlog.testing import capture_logs

from assay.bundle import Bundle
from assay.rpc.method import Service
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.authority import Authority
from assay.wire import bundle as bundle_wire
from assay.wire.service import TRUST_DOMAIN, served
from assay_proto.spire.api.server.trustdomain.v1 import trustdomain_pb2 as pb
from assay_proto.spire.api.server.trustdomain.v1.trustdomain_pb2_grpc import TrustDomainStub
from assay_proto.spire.api.types.bundle_pb2 import Bundle as BundleMessage
from assay_proto.spire.api.types.bundle_pb2 import X509Certificate
from assay_proto.spire.api.types.federationrelationship_pb2 import FederationRelationship as Message
from assay_proto.spire.api.types.federationrelationship_pb2 import (
    FederationRelationshipMask,
    HTTPSSPIFFEProfile,
    HTTPSWebProfile,
)
from assay_server.api.trustdomain import TrustDomainApi
from assay_server.authorization.caller import Caller, CallerKind, Credential
from assay_server.datastore.sql.store import SqlStore
from assay_server.registration import FederationService

if TYPE_CHECKING:
    from assay_proto.spire.api.server.trustdomain.v1.trustdomain_pb2_grpc import TrustDomainAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]

TD = TrustDomain("example.org")
NORTH = TrustDomain("north.test")
OK, INVALID, MISSING, INTERNAL = 0, 3, 5, 13
CHARACTERS = (
    "failed to parse trust domain: trust domain characters are limited to lowercase letters, numbers, dots, dashes, "
    "and underscores"
)
CONVERT = "failed to convert federation relationship: "
EXISTS = (
    "failed to create federation relationship: datastore-sql: UNIQUE constraint failed: "
    "federated_trust_domains.trust_domain"
)
NO_RECORD = "failed to update federation relationship: unable to fetch federation relationship: record not found"


@pytest.fixture(scope="module")
def north() -> Bundle:
    return replace(Authority("north.test").bundle, refresh_hint=60, sequence=5)


@pytest.fixture
def caller() -> Caller:
    return Caller(CallerKind.LOCAL)


@pytest.fixture
async def stub(serve: Serve, store: SqlStore, caller: Caller) -> "TrustDomainAsyncStub":
    api = TrustDomainApi(FederationService(store, TD))
    return TrustDomainStub(await serve(served(TRUST_DOMAIN, api), caller))


def web(name: str = "north.test", **fields: Any) -> Message:  # noqa: ANN401 - fields of the message
    url = fields.pop("bundle_endpoint_url", f"https://{name}/bundle")
    return Message(trust_domain=name, bundle_endpoint_url=url, https_web=HTTPSWebProfile(), **fields)


def spiffe(name: str = "north.test", endpoint: str = "spiffe://north.test/endpoint", **fields: Any) -> Message:  # noqa: ANN401 - likewise
    profile = HTTPSSPIFFEProfile(endpoint_spiffe_id=endpoint)
    return Message(trust_domain=name, bundle_endpoint_url=f"https://{name}:8443", https_spiffe=profile, **fields)


def message(bundle: Bundle) -> BundleMessage:
    return bundle_wire.to_proto(bundle)


async def create(
    stub: "TrustDomainAsyncStub", *given: Message, mask: FederationRelationshipMask | None = None
) -> list[Any]:
    request = pb.BatchCreateFederationRelationshipRequest(federation_relationships=given, output_mask=mask)
    return list((await stub.BatchCreateFederationRelationship(request)).results)


async def update(
    stub: "TrustDomainAsyncStub",
    *given: Message,
    mask: FederationRelationshipMask | None = None,
    output: FederationRelationshipMask | None = None,
) -> list[Any]:
    request = pb.BatchUpdateFederationRelationshipRequest(
        federation_relationships=given, input_mask=mask, output_mask=output
    )
    return list((await stub.BatchUpdateFederationRelationship(request)).results)


async def delete(stub: "TrustDomainAsyncStub", *names: str) -> list[tuple[str, int, str]]:
    request = pb.BatchDeleteFederationRelationshipRequest(trust_domains=names)
    results = (await stub.BatchDeleteFederationRelationship(request)).results
    return [(each.trust_domain, each.status.code, each.status.message) for each in results]


async def get(stub: "TrustDomainAsyncStub", name: str = "north.test") -> Message:
    return await stub.GetFederationRelationship(pb.GetFederationRelationshipRequest(trust_domain=name))


async def listed(stub: "TrustDomainAsyncStub") -> list[Message]:
    response = await stub.ListFederationRelationships(pb.ListFederationRelationshipsRequest())
    assert not response.next_page_token
    return list(response.federation_relationships)


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return refusal.value.code(), refusal.value.details() or ""


def statuses(results: list[Any]) -> list[tuple[int, str]]:
    return [(each.status.code, each.status.message) for each in results]


@pytest.mark.spec("FED-5.1-c", "FED-5.2.1.2-a")
async def test_relationships_are_created_and_listed_in_that_order(stub: "TrustDomainAsyncStub") -> None:
    given = [web("west.test"), spiffe(), web("a.test")]
    results = await create(stub, *given)
    assert statuses(results) == [(OK, "OK")] * 3
    assert [each.federation_relationship for each in results] == given
    assert await listed(stub) == given
    assert await get(stub) == given[1]
    assert await get(stub, "spiffe://west.test/any") == given[0]


async def test_a_relationship_is_created_once(stub: "TrustDomainAsyncStub", north: Bundle) -> None:
    results = await create(stub, web(), spiffe(trust_domain_bundle=message(north)))
    assert statuses(results) == [(OK, "OK"), (INTERNAL, EXISTS)]
    assert not results[1].HasField("federation_relationship")
    assert await listed(stub) == [web()]


async def test_a_bundle_that_comes_along_replaces_the_stored_one(
    stub: "TrustDomainAsyncStub", store: SqlStore, north: Bundle
) -> None:
    await store.write(lambda tx: tx.bundles.put(Bundle(NORTH, refresh_hint=9)))
    given = spiffe(trust_domain_bundle=message(north))
    given.trust_domain_bundle.x509_authorities[0].tainted = True  # not for clients to say
    [result] = await create(stub, given)
    assert result.federation_relationship == spiffe(trust_domain_bundle=message(north))
    assert await store.read(lambda tx: tx.bundles.get(NORTH)) == north


async def test_the_stored_bundle_is_shown_where_it_was_not_given(
    stub: "TrustDomainAsyncStub", store: SqlStore, north: Bundle
) -> None:
    await store.write(lambda tx: tx.bundles.put(north))
    [created] = await create(stub, web())
    assert created.federation_relationship == web()  # as it was given, as in SPIRE
    whole = web(trust_domain_bundle=message(north))
    assert await listed(stub) == [whole]
    [updated] = await update(stub, web())
    assert updated.federation_relationship == whole
    await store.write(lambda tx: tx.bundles.delete(NORTH))
    assert await get(stub) == web()


@pytest.mark.parametrize(
    ("mask", "wanted"),
    [
        (FederationRelationshipMask(), Message(trust_domain="north.test")),
        (
            FederationRelationshipMask(bundle_endpoint_url=True),
            Message(trust_domain="north.test", bundle_endpoint_url="https://north.test/bundle"),
        ),
        (
            FederationRelationshipMask(bundle_endpoint_profile=True),
            Message(trust_domain="north.test", https_web=HTTPSWebProfile()),
        ),
        (
            FederationRelationshipMask(trust_domain_bundle=True),
            Message(trust_domain="north.test", trust_domain_bundle=BundleMessage(trust_domain="north.test")),
        ),
    ],
)
async def test_answers_have_what_the_output_mask_names(
    stub: "TrustDomainAsyncStub", mask: FederationRelationshipMask, wanted: Message
) -> None:
    given = web(trust_domain_bundle=BundleMessage(trust_domain="north.test"))
    [created] = await create(stub, given, mask=mask)
    [updated] = await update(stub, given, output=mask)
    request = pb.GetFederationRelationshipRequest(trust_domain="north.test", output_mask=mask)
    found = await stub.GetFederationRelationship(request)
    page = await stub.ListFederationRelationships(pb.ListFederationRelationshipsRequest(output_mask=mask))
    answers = [created.federation_relationship, updated.federation_relationship, found, *page.federation_relationships]
    assert answers == [wanted] * 4


async def test_an_update_changes_what_the_mask_names(stub: "TrustDomainAsyncStub", north: Bundle) -> None:
    await create(stub, web())
    given = spiffe(trust_domain_bundle=message(north))
    [nothing] = await update(stub, given, mask=FederationRelationshipMask())
    assert nothing.federation_relationship == web()
    [url] = await update(stub, given, mask=FederationRelationshipMask(bundle_endpoint_url=True))
    assert url.federation_relationship == web(bundle_endpoint_url="https://north.test:8443")
    [profile] = await update(stub, given, mask=FederationRelationshipMask(bundle_endpoint_profile=True))
    assert profile.federation_relationship == spiffe()
    [bundle] = await update(stub, given, mask=FederationRelationshipMask(trust_domain_bundle=True))
    assert bundle.federation_relationship == given
    [whole] = await update(stub, web())
    assert whole.federation_relationship == web(trust_domain_bundle=message(north))
    assert await listed(stub) == [whole.federation_relationship]


async def test_an_update_of_a_missing_relationship_fails_alone(
    stub: "TrustDomainAsyncStub", store: SqlStore, north: Bundle
) -> None:
    await create(stub, web("west.test"))
    moved = web("west.test", bundle_endpoint_url="https://elsewhere.test/")
    results = await update(stub, web(trust_domain_bundle=message(north)), web("example.org"), moved)
    assert statuses(results) == [(INTERNAL, NO_RECORD), (INTERNAL, NO_RECORD), (OK, "OK")]
    assert await listed(stub) == [moved]
    assert await store.read(lambda tx: tx.bundles.get(NORTH)) is None


@pytest.mark.parametrize("call", [create, update])
async def test_a_bad_relationship_fails_alone(
    stub: "TrustDomainAsyncStub", north: Bundle, call: Callable[..., Awaitable[list[Any]]]
) -> None:
    if call is update:
        await create(stub, web())
    no_profile = Message(trust_domain="west.test", bundle_endpoint_url="https://west.test")
    no_certificate = BundleMessage(trust_domain="west.test", x509_authorities=[X509Certificate(asn1=b"x")])
    results = await call(
        stub,
        web("North.test"),
        web("west.test", bundle_endpoint_url="http://west.test"),
        no_profile,
        spiffe("west.test", endpoint="west.test"),
        web("west.test", trust_domain_bundle=message(north)),
        web("west.test", trust_domain_bundle=no_certificate),
        web("west.test", trust_domain_bundle=BundleMessage()),
        web(),
    )
    mismatch = (
        'trust domain bundle ("north.test") must match the trust domain of the federation relationship ("west.test")'
    )
    codes, messages = zip(*statuses(results), strict=True)
    assert codes == (INVALID,) * 7 + (OK,)
    assert messages[:5] == (
        CONVERT + CHARACTERS,
        f"{CONVERT}bundle endpoint URL must use the https scheme",
        f"{CONVERT}unsupported bundle endpoint profile type: <nil>",
        f"{CONVERT}failed to parse endpoint SPIFFE ID: scheme is missing or invalid",
        CONVERT + mismatch,
    )
    assert messages[5].startswith(f"{CONVERT}failed to parse bundle: unable to parse X.509 authority: ")
    assert messages[6] == f"{CONVERT}failed to parse bundle: invalid trust domain: trust domain is missing"
    assert await listed(stub) == [web()]


@pytest.mark.spec("FED-5.1-a", "FED-5.2.2.2-a", "FED-7.2-a")
async def test_name_url_profile_and_endpoint_id_have_to_be_given(stub: "TrustDomainAsyncStub") -> None:
    whole = spiffe()
    for field in ("trust_domain", "bundle_endpoint_url", "https_spiffe"):
        lacking = Message()
        lacking.CopyFrom(whole)
        lacking.ClearField(field)
        [result] = await create(stub, lacking)
        assert result.status.code == INVALID, field
    [result] = await create(stub, spiffe(endpoint=""))
    assert result.status.message == f"{CONVERT}failed to parse endpoint SPIFFE ID: cannot be empty"
    assert not await listed(stub)
    await create(stub, whole)
    [result] = await update(stub, Message(trust_domain="north.test", bundle_endpoint_url="https://north.test"))
    assert result.status.message == f"{CONVERT}unsupported bundle endpoint profile type: <nil>"
    assert await listed(stub) == [whole]


@pytest.mark.spec("FED-5.2.1.1-a", "FED-5.2.1.1-b", "FED-5.2.1.1-c", "FED-5.2.2.1-a", "FED-5.2.2.1-b")
@pytest.mark.parametrize("make", [web, spiffe])
async def test_a_url_is_https_without_user_information_and_otherwise_free(
    stub: "TrustDomainAsyncStub", make: Callable[[str], Message]
) -> None:
    given = make("north.test")
    messages: list[str] = []
    for url in ("http://north.test", "https://user:secret@north.test", "https://[::1]:8443/a/b?c=d#e"):
        given.bundle_endpoint_url = url
        [result] = await create(stub, given)
        messages.append(result.status.message)
    assert messages == [
        f"{CONVERT}bundle endpoint URL must use the https scheme",
        f"{CONVERT}bundle endpoint URL must not contain user info",
        "OK",
    ]
    assert await listed(stub) == [given]


async def test_a_field_that_the_mask_leaves_out_has_to_be_right_too(stub: "TrustDomainAsyncStub") -> None:
    await create(stub, web())
    given = web(bundle_endpoint_url="")
    [result] = await update(stub, given, mask=FederationRelationshipMask(bundle_endpoint_profile=True))
    assert (result.status.code, result.status.message) == (
        INVALID,
        f"{CONVERT}bundle endpoint URL must use the https scheme",
    )


async def test_nobody_federates_with_himself(stub: "TrustDomainAsyncStub", store: SqlStore) -> None:
    bundle = BundleMessage(trust_domain="example.org")
    words = "unable to create federation relationship for server trust domain"
    assert statuses(await create(stub, web("example.org", trust_domain_bundle=bundle))) == [(INVALID, words)]
    assert await store.read(lambda tx: tx.bundles.get(TD)) is None


async def test_pages_are_stable_under_writes(stub: "TrustDomainAsyncStub") -> None:
    names = [f"t{number}.test" for number in range(5)]
    await create(stub, *map(web, names))
    found: list[str] = []
    token = ""
    while True:
        request = pb.ListFederationRelationshipsRequest(page_size=2, page_token=token)
        response = await stub.ListFederationRelationships(request)
        found += [each.trust_domain for each in response.federation_relationships]
        token = response.next_page_token
        if len(response.federation_relationships) < 2:
            break
        await delete(stub, found[-2])
        await create(stub, web(f"new{len(found)}.test"))
    assert found == [*names, "new2.test", "new4.test", "new6.test", "new8.test"]


async def test_a_page_token_is_one_of_ours(stub: "TrustDomainAsyncStub") -> None:
    request = pb.ListFederationRelationshipsRequest(page_size=2, page_token="x")
    code, details = await refused(stub.ListFederationRelationships(request))
    assert (code, details) == (
        grpc.StatusCode.INVALID_ARGUMENT, "failed to list federation relationships: could not parse token 'x'"
    )  # fmt: skip


async def test_a_relationship_is_looked_up_by_the_name_of_its_trust_domain(stub: "TrustDomainAsyncStub") -> None:
    assert await refused(get(stub)) == (grpc.StatusCode.NOT_FOUND, "federation relationship does not exist")
    assert await refused(get(stub, "")) == (
        grpc.StatusCode.INVALID_ARGUMENT, "failed to parse trust domain: trust domain is missing"
    )  # fmt: skip


async def test_deleting_names_what_is_wrong_and_leaves_bundles(
    stub: "TrustDomainAsyncStub", store: SqlStore, north: Bundle
) -> None:
    await create(stub, web(trust_domain_bundle=message(north)), web("west.test"))
    assert await delete(stub, "", "West.test", "south.test", "spiffe://north.test", "north.test") == [
        ("", INVALID, "missing trust domain"),
        ("West.test", INVALID, CHARACTERS),
        ("south.test", MISSING, "federation relationship not found"),
        ("north.test", OK, "OK"),
        ("north.test", MISSING, "federation relationship not found"),
    ]
    assert await listed(stub) == [web("west.test")]
    assert await store.read(lambda tx: tx.bundles.get(NORTH)) == north


async def test_refreshing_is_not_built(stub: "TrustDomainAsyncStub") -> None:
    def refresh(name: str) -> Awaitable[object]:
        return stub.RefreshBundle(pb.RefreshBundleRequest(trust_domain=name))

    assert await refused(refresh("north.test")) == (
        grpc.StatusCode.NOT_FOUND, 'no relationship with trust domain "north.test"'
    )  # fmt: skip
    code, details = await refused(refresh("North.test"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("failed to parse trust domain: ")
    await create(stub, web())
    code, details = await refused(refresh("north.test"))
    assert code is grpc.StatusCode.UNIMPLEMENTED
    assert details.startswith("fetching bundles from bundle endpoints is not built yet")


@pytest.mark.parametrize("call", [create, update])
async def test_an_endpoint_that_no_bundle_vouches_for_is_warned_of(
    stub: "TrustDomainAsyncStub",
    store: SqlStore,
    north: Bundle,
    call: Callable[..., Awaitable[list[Any]]],
) -> None:
    if call is update:
        await create(stub, web("west.test"), web("south.test"), web())
    await store.write(lambda tx: tx.bundles.put(Bundle(TrustDomain("there.test"))))
    with capture_logs() as logs:
        await call(
            stub,
            spiffe("west.test", endpoint="spiffe://nowhere.test/e"),
            spiffe("south.test", endpoint="spiffe://there.test/e"),
            spiffe(trust_domain_bundle=message(north)),
        )
    assert [log for log in logs if log["log_level"] == "warning"] == [
        {
            "event": "bundle not found for the endpoint SPIFFE ID trust domain",
            "log_level": "warning",
            "trust_domain_id": "west.test",
            "endpoint_spiffe_id": "spiffe://nowhere.test/e",
        }
    ]


@pytest.mark.parametrize("caller", [Caller(CallerKind.ADMIN, Credential(SpiffeId(TD, "/admin"), "1", 2**31))])
async def test_what_to_do_next_is_told_to_operators_on_this_machine_only(stub: "TrustDomainAsyncStub") -> None:
    [result] = await create(stub, spiffe("west.test", endpoint="west.test"))
    assert result.status.message == f"{CONVERT}failed to parse endpoint SPIFFE ID: scheme is missing or invalid"
