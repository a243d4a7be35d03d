import asyncio

import pytest

from assay.errors import (
    AssayError,
    DenialReason,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnavailableError,
    UnimplementedError,
)
from assay.rpc.client import Channel
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.authority import Authority
from assay.testing.scripted import Context, ScriptedServer, refuse
from assay.wire import bundle as bundle_wire
from assay.wire import spiffeid as spiffeid_wire
from assay_agent.client.server import ServerClient
from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2
from assay_proto.spire.api.server.svid.v1 import svid_pb2
from assay_proto.spire.api.types.jwtsvid_pb2 import JWTSVID
from assay_proto.spire.api.types.status_pb2 import Status
from assay_proto.spire.api.types.witsvid_pb2 import WITSVID
from assay_proto.spire.api.types.x509svid_pb2 import X509SVID

ID = SpiffeId.parse("spiffe://example.org/workload")
Result = svid_pb2.BatchNewX509SVIDResponse.Result


async def test_a_batch_keeps_answers_and_refusals_apart(server: ScriptedServer, client: ServerClient) -> None:
    async def sign(request: svid_pb2.BatchNewX509SVIDRequest, _: object) -> svid_pb2.BatchNewX509SVIDResponse:
        assert [(one.entry_id, one.csr) for one in request.params] == [("a", b"csr a"), ("b", b"csr b")]
        return svid_pb2.BatchNewX509SVIDResponse(
            results=[
                Result(status=Status(), svid=X509SVID(cert_chain=[b"leaf", b"intermediate"])),
                Result(status=Status(code=5, message="entry not found or not authorized")),
            ]
        )

    server.on("BatchNewX509SVID", sign)
    await server.start()
    signed = await client.new_x509_svids([("a", b"csr a"), ("b", b"csr b")])
    assert signed.chains == {"a": (b"leaf", b"intermediate")}
    assert [type(one) for one in signed.refused.values()] == [NotFoundError]
    assert signed.refused["b"].message == "entry not found or not authorized"


async def test_too_many_at_once_is_resource_exhausted(server: ScriptedServer, client: ServerClient) -> None:
    async def sign(_: object, context: Context) -> None:
        await refuse(context, ResourceExhaustedError("rate (501) exceeds burst size (500)"))

    server.on("BatchNewX509SVID", sign)
    await server.start()
    with pytest.raises(ResourceExhaustedError):
        await client.new_x509_svids([("a", b"csr")])


async def test_renewal_sends_the_request_and_returns_the_chain(server: ScriptedServer, client: ServerClient) -> None:
    async def renew(request: agent_pb2.RenewAgentRequest, _: object) -> agent_pb2.RenewAgentResponse:
        assert request.params.csr == b"csr"
        return agent_pb2.RenewAgentResponse(svid=X509SVID(cert_chain=[b"leaf"]))

    server.on("RenewAgent", renew)
    await server.start()
    assert await client.renew(b"csr") == (b"leaf",)


async def test_a_renewal_without_svid_is_refused(server: ScriptedServer, client: ServerClient) -> None:
    async def renew(_: object, __: object) -> agent_pb2.RenewAgentResponse:
        return agent_pb2.RenewAgentResponse()

    server.on("RenewAgent", renew)
    await server.start()
    with pytest.raises(UnavailableError, match="missing SVID"):
        await client.renew(b"csr")


async def test_a_renewal_that_must_be_an_attestation_says_so(server: ScriptedServer, client: ServerClient) -> None:
    async def renew(_: object, context: Context) -> None:
        await refuse(context, PermissionDeniedError("agent must reattest", reason=DenialReason.AGENT_MUST_REATTEST))

    server.on("RenewAgent", renew)
    await server.start()
    with pytest.raises(PermissionDeniedError) as refusal:
        await client.renew(b"csr")
    assert refusal.value.reason is DenialReason.AGENT_MUST_REATTEST


async def test_status_names_the_version(server: ScriptedServer, client: ServerClient) -> None:
    heard: list[str] = []

    async def post(request: agent_pb2.PostStatusRequest, _: object) -> agent_pb2.PostStatusResponse:
        heard.append(request.agent_version)
        return agent_pb2.PostStatusResponse()

    server.on("PostStatus", post)
    await server.start()
    await client.post_status("0.1.0")
    assert heard == ["0.1.0"]


async def test_federated_bundles_the_server_lacks_are_left_out(server: ScriptedServer, client: ServerClient) -> None:
    bundle = Authority("there.example").bundle

    async def get(request: bundle_pb2.GetFederatedBundleRequest, context: Context) -> object:
        if request.trust_domain != "there.example":
            await refuse(context, NotFoundError("bundle not found"))
        return bundle_wire.to_proto(bundle)

    server.on("GetFederatedBundle", get)
    await server.start()
    asked = [TrustDomain("gone.example"), bundle.trust_domain]
    assert await client.federated_bundles(asked) == (bundle,)


async def test_the_own_bundle(server: ScriptedServer, client: ServerClient) -> None:
    bundle = Authority().bundle

    async def get(_: object, __: object) -> object:
        return bundle_wire.to_proto(bundle)

    server.on("GetBundle", get)
    await server.start()
    assert await client.bundle() == bundle


async def test_a_jwt_svid(server: ScriptedServer, client: ServerClient) -> None:
    async def mint(request: svid_pb2.NewJWTSVIDRequest, _: object) -> svid_pb2.NewJWTSVIDResponse:
        assert (request.entry_id, list(request.audience)) == ("entry", ["one", "two"])
        svid = JWTSVID(token="a.b.c", id=spiffeid_wire.to_proto(ID), issued_at=100, expires_at=400)
        return svid_pb2.NewJWTSVIDResponse(svid=svid)

    server.on("NewJWTSVID", mint)
    await server.start()
    jwt = await client.new_jwt_svid("entry", ["one", "two"])
    assert (jwt.token, jwt.spiffe_id, jwt.issued_at, jwt.expires_at) == ("a.b.c", ID, 100, 400)
    assert "a.b.c" not in repr(jwt)


@pytest.mark.parametrize(
    "svid",
    [
        JWTSVID(),
        JWTSVID(id=spiffeid_wire.to_proto(ID), issued_at=100, expires_at=400),
        JWTSVID(token="t", id=spiffeid_wire.to_proto(ID), expires_at=400),
        JWTSVID(token="t", id=spiffeid_wire.to_proto(ID), issued_at=500, expires_at=400),
        JWTSVID(token="t", issued_at=100, expires_at=400),
    ],
)
async def test_a_malformed_jwt_answer_is_refused(svid: JWTSVID, server: ScriptedServer, client: ServerClient) -> None:
    async def mint(_: object, __: object) -> svid_pb2.NewJWTSVIDResponse:
        return svid_pb2.NewJWTSVIDResponse(svid=svid)

    server.on("NewJWTSVID", mint)
    await server.start()
    with pytest.raises(AssayError):
        await client.new_jwt_svid("entry", ["audience"])


async def test_jwts_switched_off_pass_through_as_they_are(server: ScriptedServer, client: ServerClient) -> None:
    async def mint(_: object, context: Context) -> None:
        await refuse(context, UnimplementedError("JWT functionality is disabled"))

    server.on("NewJWTSVID", mint)
    await server.start()
    with pytest.raises(UnimplementedError, match=r"^JWT functionality is disabled$"):
        await client.new_jwt_svid("entry", ["audience"])


WIT = WITSVID(token="a.b.c", issued_at=100, expires_at=400)
WitResult = svid_pb2.BatchNewWITSVIDResponse.Result


async def test_a_wit_svid(server: ScriptedServer, client: ServerClient) -> None:
    async def sign(request: svid_pb2.BatchNewWITSVIDRequest, _: object) -> svid_pb2.BatchNewWITSVIDResponse:
        (one,) = request.params
        assert (one.entry_id, one.public_key, one.signing_algorithm) == ("entry", b"key", "ES256")
        return svid_pb2.BatchNewWITSVIDResponse(results=[WitResult(svid=WIT)])

    server.on("BatchNewWITSVID", sign)
    await server.start()
    wit = await client.new_wit_svid("entry", b"key", "ES256")
    assert (wit.token, wit.issued_at, wit.expires_at) == ("a.b.c", 100, 400)
    assert "a.b.c" not in repr(wit)


@pytest.mark.parametrize(
    ("results", "error"),
    [
        ([], UnavailableError),
        ([WitResult(svid=WIT), WitResult(svid=WIT)], UnavailableError),
        ([WitResult()], UnavailableError),
        ([WitResult(svid=WITSVID(issued_at=100, expires_at=400))], UnavailableError),
        ([WitResult(svid=WITSVID(token="t", expires_at=400))], UnavailableError),
        ([WitResult(svid=WITSVID(token="t", issued_at=500, expires_at=400))], UnavailableError),
        ([WitResult(status=Status(code=5, message="entry not found or not authorized"))], NotFoundError),
        ([WitResult(status=Status(code=12, message="off"))], UnimplementedError),
    ],
)
async def test_a_wit_answer_that_is_malformed_or_a_refusal(
    results: list[WitResult], error: type[AssayError], server: ScriptedServer, client: ServerClient
) -> None:
    async def sign(_: object, __: object) -> svid_pb2.BatchNewWITSVIDResponse:
        return svid_pb2.BatchNewWITSVIDResponse(results=results)

    server.on("BatchNewWITSVID", sign)
    await server.start()
    with pytest.raises(error):
        await client.new_wit_svid("entry", b"key", "ES256")


async def test_wits_switched_off_pass_through_as_they_are(server: ScriptedServer, client: ServerClient) -> None:
    async def sign(_: object, context: Context) -> None:
        await refuse(context, UnimplementedError("WIT functionality is disabled"))

    server.on("BatchNewWITSVID", sign)
    await server.start()
    with pytest.raises(UnimplementedError, match=r"^WIT functionality is disabled$"):
        await client.new_wit_svid("entry", b"key", "ES256")


async def test_after_a_failure_the_next_request_dials_anew(
    server: ScriptedServer, client: ServerClient, dialled: list[Channel]
) -> None:
    async def get(_: object, __: object) -> object:
        return bundle_wire.to_proto(Authority().bundle)

    with pytest.raises(UnavailableError):
        await client.bundle()
    server.on("GetBundle", get)
    await server.start()
    await client.bundle()
    await client.bundle()
    assert len(dialled) == 2


async def test_a_refusal_keeps_the_connection(
    server: ScriptedServer, client: ServerClient, dialled: list[Channel]
) -> None:
    async def get(_: object, context: Context) -> None:
        await refuse(context, PermissionDeniedError("no"))

    server.on("GetBundle", get)
    await server.start()
    for _ in range(2):
        with pytest.raises(PermissionDeniedError):
            await client.bundle()
    assert len(dialled) == 1


async def test_requests_at_once_share_one_connection(
    server: ScriptedServer, client: ServerClient, dialled: list[Channel]
) -> None:
    async def get(_: object, __: object) -> object:
        return bundle_wire.to_proto(Authority().bundle)

    server.on("GetBundle", get)
    await server.start()
    await asyncio.gather(*(client.bundle() for _ in range(5)))
    assert len(dialled) == 1


async def test_a_call_under_way_outlives_a_renewal(server: ScriptedServer, client: ServerClient) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def get(_: object, __: object) -> object:
        asked.set()
        await go_on.wait()
        return bundle_wire.to_proto(bundle)

    bundle = Authority().bundle
    server.on("GetBundle", get)
    await server.start()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(client.bundle())
        await asked.wait()
        await client.renewed()
        go_on.set()
    assert task.result() == bundle
