"""Our client against an API that may say anything."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from google.protobuf.struct_pb2 import Struct
from grpc import StatusCode

from assay.errors import (
    AssayError,
    FailedPreconditionError,
    InvalidArgumentError,
    PermissionDeniedError,
    UnavailableError,
    UnimplementedError,
)
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.authority import Authority
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.common.workloadapi.conftest import Scripted

OWN, FRIEND = TrustDomain("example.org"), TrustDomain("friend.test")


def x509_svid(authority: Authority, path: str = "/web", **fields: object) -> pb.X509SVID:
    svid = authority.x509_svid(path)
    made = pb.X509SVID(
        spiffe_id=str(svid.spiffe_id),
        x509_svid=b"".join(svid.chain),
        x509_svid_key=svid.key_pkcs8,
        bundle=authority.root.der,
    )
    made.MergeFrom(pb.X509SVID(**fields))  # type: ignore[arg-type]
    return made


@pytest.mark.spec("WEP-3-e")
async def test_every_call_carries_the_header(api: Scripted, client: WorkloadApiClient) -> None:
    api.answers = [StatusCode.UNAVAILABLE] * 9
    for contexts in (client.watch_x509(), client.watch_x509_bundles(), client.watch_jwt_bundles()):
        with pytest.raises(UnavailableError):
            await anext(contexts)
    with pytest.raises(UnavailableError):
        await client.fetch_jwt(["a"])
    with pytest.raises(UnavailableError):
        await client.validate_jwt("a", "t")
    assert api.secure == [True] * 5


@pytest.mark.spec("WEP-3-b")
async def test_an_x509_context(api: Scripted, client: WorkloadApiClient, authority: Authority) -> None:
    svids = [x509_svid(authority, "/web", hint="w"), x509_svid(authority, "/db")]
    api.answers = [pb.X509SVIDResponse(svids=svids, federated_bundles={"spiffe://friend.test": b""})]
    context = await client.fetch_x509()
    assert [(one.svid.spiffe_id.path, one.hint) for one in context.svids] == [("/web", "w"), ("/db", "")]
    assert context.default is context.svids[0].svid
    assert context.default.key is not None
    assert context.bundles == {OWN: (authority.root.der,), FRIEND: ()}
    assert "PRIVATE" not in repr(context)


@pytest.mark.spec("WAPI-4.4-a")
@pytest.mark.spec("WAPI-4.4-b")
@pytest.mark.spec("WAPI-4.4-c")
async def test_what_a_message_leaves_out_is_gone(
    api: Scripted, client: WorkloadApiClient, authority: Authority
) -> None:
    svid = x509_svid(authority)
    api.answers = [
        pb.X509SVIDResponse(svids=[svid], federated_bundles={"spiffe://friend.test": authority.root.der}),
        pb.X509SVIDResponse(svids=[svid]),
    ]
    async with aclosing(client.watch_x509()) as contexts:
        found = [set(context.bundles) async for context in contexts]
    assert found == [{OWN, FRIEND}, {OWN}]


@pytest.mark.spec("WAPI-4.5-b")
@pytest.mark.parametrize("field", ["spiffe_id", "x509_svid", "x509_svid_key", "bundle"])
async def test_an_svid_without_a_mandatory_field_makes_the_whole_message_bad(
    api: Scripted, client: WorkloadApiClient, authority: Authority, field: str
) -> None:
    bad = x509_svid(authority, "/bad")
    bad.ClearField(field)  # type: ignore[arg-type]
    api.answers = [pb.X509SVIDResponse(svids=[x509_svid(authority), bad])]
    with pytest.raises(FailedPreconditionError, match="malformed Workload API response"):
        await client.fetch_x509()


async def test_an_svid_that_is_not_what_the_message_says_is_refused(
    api: Scripted, client: WorkloadApiClient, authority: Authority
) -> None:
    other = Authority("example.org").x509_svid("/web")
    good = pb.X509SVIDResponse(svids=[x509_svid(authority)])
    for field, value in (
        ("spiffe_id", "spiffe://example.org/other"),
        ("spiffe_id", "no id"),
        ("x509_svid", b"junk"),
        ("x509_svid", b"".join(other.chain)),
        ("x509_svid_key", other.key_pkcs8),
        ("bundle", b"\x30\x80"),
    ):
        bad = pb.X509SVIDResponse()
        bad.CopyFrom(good)
        setattr(bad.svids[0], field, value)
        api.answers = [bad]
        with pytest.raises(FailedPreconditionError, match="malformed"):
            await client.fetch_x509()


@pytest.mark.spec("WAPI-5.1-d")
@pytest.mark.parametrize("key", ["friend.test", "spiffe://friend.test/", "spiffe://friend.test/path", ""])
async def test_bundles_must_be_keyed_by_trust_domain_ids(api: Scripted, client: WorkloadApiClient, key: str) -> None:
    api.answers = [pb.X509BundlesResponse(bundles={key: b""})]
    with pytest.raises(FailedPreconditionError, match="malformed"):
        await anext(client.watch_x509_bundles())


async def test_empty_messages_are_malformed(api: Scripted, client: WorkloadApiClient) -> None:
    api.answers = [pb.X509SVIDResponse()]
    with pytest.raises(FailedPreconditionError, match="svids missing"):
        await client.fetch_x509()
    api.answers = [pb.JWTBundlesResponse()]
    with pytest.raises(FailedPreconditionError, match="bundles missing"):
        await anext(client.watch_jwt_bundles())
    api.answers = [pb.X509BundlesResponse()]
    with pytest.raises(FailedPreconditionError, match="bundles missing"):
        await anext(client.watch_x509_bundles())
    api.answers = [pb.JWTSVIDResponse()]
    with pytest.raises(FailedPreconditionError, match="svids missing"):
        await client.fetch_jwt(["a"])
    api.answers = [pb.JWTSVIDResponse(svids=[pb.JWTSVID(spiffe_id="spiffe://example.org/a")])]
    with pytest.raises(FailedPreconditionError, match="svid missing"):
        await client.fetch_jwt(["a"])
    api.answers = [pb.ValidateJWTSVIDResponse(spiffe_id="spiffe://example.org/a")]
    with pytest.raises(FailedPreconditionError, match="claims missing"):
        await client.validate_jwt("a", "t")


async def test_jwt_svids(api: Scripted, client: WorkloadApiClient) -> None:
    api.answers = [pb.JWTSVIDResponse(svids=[pb.JWTSVID(spiffe_id="spiffe://example.org/a", svid="t", hint="h")])] * 3
    (svid,) = await client.fetch_jwt(["x", "y"], SpiffeId(OWN, "/a"))
    assert (str(svid.spiffe_id), svid.token, svid.hint) == ("spiffe://example.org/a", "t", "h")
    assert "'t'" not in repr(svid)
    await client.fetch_jwt(["x"])
    await client.fetch_jwt("orders")
    assert api.requests == [
        pb.JWTSVIDRequest(audience=["x", "y"], spiffe_id="spiffe://example.org/a"),
        pb.JWTSVIDRequest(audience=["x"]),
        pb.JWTSVIDRequest(audience=["orders"]),
    ]


@pytest.mark.spec("WAPI-6.3-a")
async def test_validation_and_bundles(api: Scripted, client: WorkloadApiClient, authority: Authority) -> None:
    claims = Struct()
    claims.update({"aud": ["x"], "exp": 1795339886, "more": [{"n": 1.5, "huge": 2.0**60, "yes": True}]})
    api.answers = [pb.ValidateJWTSVIDResponse(spiffe_id="spiffe://example.org/a", claims=claims)]
    found = await client.validate_jwt("x", "t")
    assert found.spiffe_id == SpiffeId(OWN, "/a")
    assert found.claims == {"aud": ["x"], "exp": 1795339886, "more": [{"n": 1.5, "huge": 2.0**60, "yes": True}]}
    (more,) = found.claims["more"]
    kinds = [type(one) for one in (found.claims["exp"], more["n"], more["huge"], more["yes"])]
    assert kinds == [int, float, float, bool]
    api.answers = [pb.JWTBundlesResponse(bundles={"spiffe://friend.test": b"{}"})]
    assert await anext(client.watch_jwt_bundles()) == {FRIEND: b"{}"}
    twice = authority.root.der * 2
    api.answers = [pb.X509BundlesResponse(bundles={"spiffe://example.org": twice})]
    assert await anext(client.watch_x509_bundles()) == {OWN: (authority.root.der,) * 2}


@pytest.mark.spec("WEP-6-b")
@pytest.mark.spec("WEP-6-g")
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (StatusCode.INVALID_ARGUMENT, InvalidArgumentError),
        (StatusCode.PERMISSION_DENIED, PermissionDeniedError),
        (StatusCode.UNIMPLEMENTED, UnimplementedError),
        (StatusCode.UNAVAILABLE, UnavailableError),
        (StatusCode.INTERNAL, UnavailableError),
    ],
)
async def test_a_refusal_is_of_the_kind_its_code_stands_for_and_is_not_tried_again(
    api: Scripted, client: WorkloadApiClient, code: StatusCode, kind: type[AssayError]
) -> None:
    api.answers = [code]
    with pytest.raises(kind, match="as scripted"):
        await client.fetch_x509()
    assert len(api.requests) == 1


async def test_nobody_listening_is_unavailable(tmp_path: object) -> None:
    async with WorkloadApiClient(Endpoint.parse(f"unix:{tmp_path}/none")) as client:
        with pytest.raises(UnavailableError):
            await client.fetch_x509(within=5)


async def test_a_stream_that_ends_without_a_word_is_unavailable(api: Scripted, client: WorkloadApiClient) -> None:
    with pytest.raises(UnavailableError, match="without a response"):
        await client.fetch_x509()
    assert api.answers == []


async def test_one_fetch_leaves_no_open_stream(api: Scripted, client: WorkloadApiClient, authority: Authority) -> None:
    api.answers = [pb.X509SVIDResponse(svids=[x509_svid(authority)])] * 3
    for _ in range(2):
        assert len((await client.fetch_x509(within=5)).svids) == 1
    assert len(api.requests) == 2
