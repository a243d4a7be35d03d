"""The SVID service over real gRPC: what agents fetch by entry, and what operators mint."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from assay.crypto import csr, keys
from assay.entry import Entry
from assay.keymanager.base import KeyType
from assay.rpc.method import Service
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import jwt
from assay.testing.authority import Authority
from assay.testing.clock import START, FakeClock
from assay.wire.service import SVID, served
from assay_proto.spire.api.server.svid.v1 import svid_pb2 as pb
from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDStub
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID
from assay_server.api.svid import SvidApi
from assay_server.authorization.caller import Caller, CallerKind, Credential
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.ratelimit import RateLimits
from assay_server.credential import Issuer
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import Node
from assay_server.model.rates import Rates

if TYPE_CHECKING:
    from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]

NOW = int(START.timestamp())
TD = TrustDomain("example.org")
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/one")
NODE = Node(AGENT, "x509pop", "5", NOW + 3600)
KEY = keys.generate(KeyType.EC_P256)
CSR = csr.create(KEY)
SELECTORS = (Selector("unix", "uid:1"),)
MINE = Entry("mine", SpiffeId(TD, "/mine"), AGENT, SELECTORS, x509_svid_ttl=600, jwt_svid_ttl=60)
NAMED = Entry("named", SpiffeId(TD, "/named"), AGENT, SELECTORS, dns_names=("a.test", "b.test"))
THEIRS = Entry("theirs", SpiffeId(TD, "/theirs"), SpiffeId(TD, "/spire/agent/two"), SELECTORS)

LOCAL = Caller(CallerKind.LOCAL)
AN_AGENT = Caller(CallerKind.AGENT, Credential(AGENT, "5", NOW + 3600), NODE, "192.0.2.1:999")


@dataclass
class House:
    stub: "SVIDAsyncStub"
    store: SqlStore
    clock: FakeClock


Houses = Callable[[Caller], Awaitable[House]]


@pytest.fixture
async def houses(serve: Serve, store: SqlStore, issuer: Issuer, clock: FakeClock) -> Houses:
    async def make(caller: Caller) -> House:
        limits = RateLimits(Rates(), clock)
        api = SvidApi(TD, issuer, AuthorizedEntries(store, TD, clock), limits, store)
        channel = await serve(served(SVID, api), caller)
        return House(SVIDStub(channel), store, clock)

    def fill(tx: Any) -> None:  # noqa: ANN401 - a transaction
        tx.nodes.put(NODE)
        for entry in (MINE, NAMED, THEIRS):
            tx.entries.create(entry)

    await store.write(fill)
    return make


@pytest.fixture
async def agent(houses: Houses) -> House:
    return await houses(AN_AGENT)


@pytest.fixture
async def admin(houses: Houses) -> House:
    return await houses(LOCAL)


def batch(*params: tuple[str, bytes]) -> pb.BatchNewX509SVIDRequest:
    return pb.BatchNewX509SVIDRequest(params=[pb.NewX509SVIDParams(entry_id=e, csr=c) for e, c in params])


def request(*names: x509.GeneralName, subject: x509.Name | None = None) -> bytes:
    return csr.create(KEY, subject, *names)


def uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


async def refusal(call: Any) -> grpc.aio.AioRpcError:  # noqa: ANN401 - any kind of call
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value


def leaf(svid: Any) -> x509.Certificate:  # noqa: ANN401 - the message of one RPC or another
    return x509.load_der_x509_certificate(svid.cert_chain[0])


async def test_an_svid_for_an_entry(agent: House) -> None:
    (result,) = (await agent.stub.BatchNewX509SVID(batch(("mine", CSR)))).results
    certificate = leaf(result.svid)
    assert (result.status.code, result.status.message) == (0, "OK")
    assert result.svid.id == SPIFFEID(trust_domain="example.org", path="/mine")
    assert result.svid.expires_at == int(certificate.not_valid_after_utc.timestamp()) == NOW + 600
    assert certificate.public_key() == KEY.public_key()


@pytest.mark.spec("ID-4.1.2-a", "X509-2-a")
async def test_an_entrys_dns_names_count_and_the_csrs_do_not(agent: House) -> None:
    der = request(x509.DNSName("evil.test"), uri("spiffe://example.org/evil"))
    results = (await agent.stub.BatchNewX509SVID(batch(("named", der), ("mine", der)))).results
    names = [
        leaf(result.svid).extensions.get_extension_for_class(x509.SubjectAlternativeName).value for result in results
    ]
    assert [name.get_values_for_type(x509.DNSName) for name in names] == [["a.test", "b.test"], []]
    assert names[1].get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://example.org/mine"]


async def test_items_fail_alone(agent: House) -> None:
    weak = CSR[:-1] + bytes([CSR[-1] ^ 1])
    results = (
        await agent.stub.BatchNewX509SVID(
            batch(
                ("", CSR), ("mine", b""), ("theirs", CSR), ("gone", CSR), ("mine", b"x"), ("mine", weak), ("mine", CSR)
            )
        )
    ).results
    # Agents get no hints, which would follow a semicolon.
    assert [(result.status.code, result.status.message.partition(":")[0]) for result in results] == [
        (3, "missing entry ID"), (3, "missing CSR"), (5, "entry not found or not authorized"),
        (5, "entry not found or not authorized"), (3, "malformed CSR"), (3, "invalid CSR signature"), (0, "OK"),
    ]  # fmt: skip
    assert [bool(result.svid.cert_chain) for result in results] == [False] * 6 + [True]


async def test_an_entry_deleted_a_moment_ago_is_not_signed_for(agent: House) -> None:
    assert (await agent.stub.BatchNewX509SVID(batch(("mine", CSR)))).results[0].status.code == 0
    await agent.store.write(lambda tx: tx.entries.delete("mine"))
    assert (await agent.stub.BatchNewX509SVID(batch(("mine", CSR)))).results[0].status.code == 5
    error = await refusal(agent.stub.NewJWTSVID(pb.NewJWTSVIDRequest(entry_id="mine", audience=["a"])))
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "entry not found or not authorized")


async def test_results_of_a_large_batch_are_in_order(agent: House) -> None:
    named = ["mine", "theirs", "named", "gone"] * 20
    keys_of = [keys.generate(KeyType.EC_P256) for _ in named]
    requests = [(entry_id, csr.create(key)) for entry_id, key in zip(named, keys_of, strict=True)]
    results = (await agent.stub.BatchNewX509SVID(batch(*requests))).results
    assert [result.status.code for result in results] == [0, 5] * 40
    for result, entry_id, key in list(zip(results, named, keys_of, strict=True))[::2]:
        assert result.svid.id.path == f"/{entry_id}"
        assert leaf(result.svid).public_key() == key.public_key()


async def test_each_item_says_that_nothing_can_sign(agent: House) -> None:
    agent.clock.advance(24 * 3600)
    results = (await agent.stub.BatchNewX509SVID(batch(("mine", CSR), ("theirs", CSR)))).results
    assert [(result.status.code, result.status.message) for result in results] == [
        (14, "X509 CA is not available for signing"),
        (5, "entry not found or not authorized"),
    ]


async def test_an_empty_batch(agent: House) -> None:
    error = await refusal(agent.stub.BatchNewX509SVID(batch()))
    assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "missing parameters")


async def test_a_batch_has_a_limit_and_costs_what_it_holds(agent: House) -> None:
    error = await refusal(agent.stub.BatchNewX509SVID(batch(*[("", b"")] * 501)))
    assert (error.code(), error.details()) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "rejecting request due to certificate signing rate limiting: rate (501) exceeds burst size (500)",
    )
    await agent.stub.BatchNewX509SVID(batch(*[("", b"")] * 500))
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(_batch_of(agent, 100))
        await agent.clock.wait_sleepers()
        assert not waiting.done()
        agent.clock.advance(0.2)


async def _batch_of(agent: House, count: int) -> None:
    await agent.stub.BatchNewX509SVID(batch(*[("", b"")] * count))


async def test_a_large_batch_lets_others_in_between(agent: House) -> None:
    async with asyncio.TaskGroup() as tasks:
        large = tasks.create_task(_signed(agent, 400))
        await asyncio.sleep(0)  # so that the large one is on its way first
        token = await agent.stub.NewJWTSVID(pb.NewJWTSVIDRequest(entry_id="mine", audience=["a"]))
        assert token.svid.token
        assert not large.done()


async def _signed(agent: House, count: int) -> None:
    results = (await agent.stub.BatchNewX509SVID(batch(*[("mine", CSR)] * count))).results
    assert all(result.status.code == 0 for result in results)


async def test_a_token_for_an_entry(agent: House, authority: Authority) -> None:
    response = await agent.stub.NewJWTSVID(pb.NewJWTSVIDRequest(entry_id="mine", audience=["a", "b"]))
    token = jwt.verify(response.svid.token, {TD: authority.bundle}, "b", agent.clock.now())
    assert (token.spiffe_id, token.audience) == (MINE.spiffe_id, ("a", "b"))
    assert (response.svid.issued_at, response.svid.expires_at) == (NOW, NOW + 60)
    assert response.svid.id == SPIFFEID(trust_domain="example.org", path="/mine")
    assert "jti" not in token.claims


async def test_a_token_with_an_identifier_when_the_entry_asks(agent: House, authority: Authority) -> None:
    await agent.store.write(lambda tx: tx.entries.update(replace(MINE, jwt_svid_include_jti=True, revision=1)))
    response = await agent.stub.NewJWTSVID(pb.NewJWTSVIDRequest(entry_id="mine", audience=["a"]))
    assert "jti" in jwt.verify(response.svid.token, {TD: authority.bundle}, "a", agent.clock.now()).claims


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (pb.NewJWTSVIDRequest(entry_id="mine"), grpc.StatusCode.INVALID_ARGUMENT, "at least one audience is required"),
        (
            pb.NewJWTSVIDRequest(entry_id="mine", audience=[""]),
            grpc.StatusCode.INVALID_ARGUMENT,
            "failed to sign JWT-SVID: invalid JWT-SVID audience: cannot be empty",
        ),
        (
            pb.NewJWTSVIDRequest(entry_id="theirs", audience=["a"]),
            grpc.StatusCode.NOT_FOUND,
            "entry not found or not authorized",
        ),
    ],
)
async def test_tokens_that_are_refused(
    agent: House, message: pb.NewJWTSVIDRequest, code: grpc.StatusCode, reason: str
) -> None:
    error = await refusal(agent.stub.NewJWTSVID(message))
    assert (error.code(), error.details()) == (code, reason)


async def test_minting_honours_subject_and_dns_names(admin: House) -> None:
    subject = x509.Name([
        x509.NameAttribute(NameOID.COUNTRY_NAME, "US"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ACME"),
    ])  # fmt: skip
    der = request(uri("spiffe://example.org/minted"), x509.DNSName("a.test"), x509.DNSName("*.b.test"), subject=subject)
    svid = (await admin.stub.MintX509SVID(pb.MintX509SVIDRequest(csr=der, ttl=120))).svid
    certificate = leaf(svid)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert certificate.subject.rfc4514_string() == "CN=a.test,O=ACME,C=US"
    assert names.get_values_for_type(x509.DNSName) == ["a.test", "*.b.test"]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://example.org/minted"]
    assert svid.expires_at == NOW + 120


async def test_minting_without_a_subject_takes_the_default(admin: House) -> None:
    svid = (await admin.stub.MintX509SVID(pb.MintX509SVIDRequest(csr=request(uri("spiffe://example.org/m"))))).svid
    assert leaf(svid).subject.rfc4514_string() == "O=SPIRE,C=US"
    assert svid.expires_at == NOW + 3600


@pytest.mark.parametrize(
    ("der", "ttl", "reason"),
    [
        (b"", 0, "missing CSR"),
        (b"x", 0, "malformed CSR"),
        (CSR[:-1] + bytes([CSR[-1] ^ 1]), 0, "failed to verify CSR signature: x509: ECDSA verification failure"),
        (request(), 0, "CSR URI SAN is required"),
        (request(uri("spiffe://example.org/a"), uri("spiffe://example.org/b")), 0, "only one URI SAN is expected"),
        (request(uri("https://example.org/a")), 0, "CSR URI SAN is invalid: scheme is missing or invalid"),
        (request(uri("spiffe://other.test/a")), 0, "CSR URI SAN is invalid: "),
        (request(uri("spiffe://example.org/spire/server")), 0, "path is in the reserved namespace"),
        (request(uri("spiffe://example.org/a"), x509.DNSName("a..b")), 0, "CSR DNS name is invalid: "),
        (
            request(uri("spiffe://example.org/a"), x509.DNSName("x.a.test"), x509.DNSName("*.a.test")),
            0,
            "CSR DNS name contains a wildcard that covers another non-wildcard name",
        ),
    ],
)
@pytest.mark.spec("ID-4.1.2-a", "X509-2-a")
async def test_x509_svids_that_are_not_minted(admin: House, der: bytes, ttl: int, reason: str) -> None:
    error = await refusal(admin.stub.MintX509SVID(pb.MintX509SVIDRequest(csr=der, ttl=ttl)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason in (error.details() or "")


async def test_a_token_is_minted(admin: House, authority: Authority) -> None:
    message = pb.MintJWTSVIDRequest(id=SPIFFEID(trust_domain="example.org", path="/m"), audience=["a"], ttl=30)
    svid = (await admin.stub.MintJWTSVID(message)).svid
    token = jwt.verify(svid.token, {TD: authority.bundle}, "a", admin.clock.now())
    assert (str(token.spiffe_id), svid.expires_at) == ("spiffe://example.org/m", NOW + 30)


@pytest.mark.parametrize(
    ("spiffe_id", "audience", "ttl", "reason"),
    [
        (None, ["a"], 0, "invalid SPIFFE ID: request must specify SPIFFE ID"),
        (SPIFFEID(), ["a"], 0, "invalid SPIFFE ID: trust domain is missing"),
        (SPIFFEID(trust_domain="other.test", path="/m"), ["a"], 0, "invalid SPIFFE ID: "),
        (SPIFFEID(trust_domain="example.org", path="/spire/x"), ["a"], 0, "path is in the reserved namespace"),
        (SPIFFEID(trust_domain="example.org", path="/m"), [], 0, "at least one audience is required"),
    ],
)
async def test_tokens_that_are_not_minted(
    admin: House, spiffe_id: SPIFFEID | None, audience: list[str], ttl: int, reason: str
) -> None:
    error = await refusal(admin.stub.MintJWTSVID(pb.MintJWTSVIDRequest(id=spiffe_id, audience=audience, ttl=ttl)))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason in (error.details() or "")


@pytest.mark.spec("STAB-2.3-b")
async def test_what_is_not_built_or_not_switched_on_says_so(houses: Houses) -> None:
    stub = (await houses(AN_AGENT)).stub
    for call, reason in (
        (stub.MintWITSVID(pb.MintWITSVIDRequest()), "WIT functionality is disabled"),
        (
            stub.BatchNewWITSVID(pb.BatchNewWITSVIDRequest(params=[pb.NewWITSVIDParams()])),
            "WIT functionality is disabled",
        ),
        (stub.NewDownstreamX509CA(pb.NewDownstreamX509CARequest()), "downstream X.509 CAs are not built yet"),
    ):
        error = await refusal(call)
        assert (error.code(), error.details()) == (grpc.StatusCode.UNIMPLEMENTED, reason)
