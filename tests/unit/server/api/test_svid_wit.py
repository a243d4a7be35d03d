"""WIT-SVIDs over real gRPC: what agents fetch by entry and key, and what operators mint."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from assay.crypto.keys import to_pkix
from assay.entry import Entry
from assay.rpc.method import Service
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.svid import wit
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
from assay_server.credential import CredentialSettings, Issuer, JwtSigner, WitSigner, X509Signer
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import Node
from assay_server.model.rates import Rates

if TYPE_CHECKING:
    from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]

NOW = int(START.timestamp())
HOME = Authority(wit=True)
TD = HOME.trust_domain
BUNDLES = {TD: HOME.bundle}
AGENT = SpiffeId(TD, "/spire/agent/one")
NODE = Node(AGENT, "x509pop", "5", NOW + 3600)
SELECTORS = (Selector("unix", "uid:1"),)
MINE = Entry("mine", SpiffeId(TD, "/mine"), AGENT, SELECTORS, x509_svid_ttl=600, jwt_svid_ttl=60, hint="internal")
PLAIN = Entry("plain", SpiffeId(TD, "/plain"), AGENT, SELECTORS)
THEIRS = Entry("theirs", SpiffeId(TD, "/theirs"), SpiffeId(TD, "/spire/agent/two"), SELECTORS)
LOCAL = Caller(CallerKind.LOCAL)
AN_AGENT = Caller(CallerKind.AGENT, Credential(AGENT, "5", NOW + 3600), NODE, "192.0.2.1:999")

P256, P384, P521 = (
    to_pkix(ec.generate_private_key(curve).public_key()) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
)
RSA = to_pkix(rsa.generate_private_key(65537, 2048).public_key())
ED25519 = to_pkix(Ed25519PrivateKey.generate().public_key())
KEYS = {"p256": P256, "p384": P384, "p521": P521, "rsa": RSA, "ed25519": ED25519}
ALL_NINE = [("p256", "ES256"), ("p384", "ES384"), ("p521", "ES512")] + [
    ("rsa", f"{family}{size}") for family in ("RS", "PS") for size in (256, 384, 512)
]


class Signers:
    """The authorities of HOME; a WIT key as long as it has one."""

    def __init__(self, not_after: int = 2**40) -> None:
        self.x509 = X509Signer(HOME.root.certificate, HOME.root.key, (), "")
        self.jwt = JwtSigner(HOME.jwt_key, HOME.jwt_key_id, 2**40)
        self.wit = WitSigner(HOME.wit_key, HOME.wit_key_id, not_after)


Stubs = Callable[[Caller], Awaitable["SVIDAsyncStub"]]


def issuer(clock: FakeClock, signers: Signers | None = None, **settings: Any) -> Issuer:  # noqa: ANN401 - settings
    return Issuer(TD, signers or Signers(), clock, CredentialSettings(**{"wit": True, **settings}))


@pytest.fixture
async def stubs(serve: Serve, store: SqlStore, clock: FakeClock) -> Stubs:
    async def make(caller: Caller) -> "SVIDAsyncStub":
        api = SvidApi(TD, issuer(clock), AuthorizedEntries(store, TD, clock), RateLimits(Rates(), clock), store)
        return SVIDStub(await serve(served(SVID, api), caller))

    def fill(tx: Any) -> None:  # noqa: ANN401 - a transaction
        tx.nodes.put(NODE)
        for entry in (MINE, PLAIN, THEIRS):
            tx.entries.create(entry)

    await store.write(fill)
    return make


def params(entry_id: str = "mine", key: bytes = P256, algorithm: str = "ES256") -> pb.NewWITSVIDParams:
    return pb.NewWITSVIDParams(entry_id=entry_id, public_key=key, signing_algorithm=algorithm)


def batch(*items: pb.NewWITSVIDParams) -> pb.BatchNewWITSVIDRequest:
    return pb.BatchNewWITSVIDRequest(params=items)


def minting(path: str = "/m", **members: Any) -> pb.MintWITSVIDRequest:  # noqa: ANN401 - of the message
    ordinary = {"id": SPIFFEID(trust_domain="example.org", path=path), "public_key": P256, "signing_algorithm": "ES256"}
    return pb.MintWITSVIDRequest(**{**ordinary, **members})


@pytest.mark.spec("WIT-3.1-a", "WIT-4-a")
async def test_an_agent_gets_a_token_for_each_key_and_items_fail_alone(stubs: Stubs) -> None:
    stub = await stubs(AN_AGENT)
    answer = await stub.BatchNewWITSVID(
        batch(params(), params("theirs"), params("plain", P384, "ES384"), params(""), params(key=b""), params(key=b"x"))
    )
    assert [(one.status.code, one.status.message) for one in answer.results] == [
        (0, "OK"),
        (5, "entry not found or not authorized"),
        (0, "OK"),
        (3, "missing entry ID"),
        (3, "missing public key"),
        (3, "malformed public key: public key is not PKIX DER of a known kind"),
    ]
    assert [one.HasField("svid") for one in answer.results] == [True, False, True, False, False, False]
    mine, plain = answer.results[0].svid, answer.results[2].svid
    read = wit.verify(mine.token, BUNDLES, START)
    assert (read.spiffe_id, read.public_key, read.algorithm) == (MINE.spiffe_id, P256, "ES256")
    assert (mine.id.trust_domain, mine.id.path, mine.issued_at, mine.expires_at) == (
        "example.org", "/mine", NOW, NOW + 600,
    )  # fmt: skip
    assert wit.verify(plain.token, BUNDLES, START).public_key == P384
    assert plain.expires_at == NOW + 3600


MISFITS = [
    ("p256", "ES384", "unsupported signing algorithm for ec-p256 key: ES384"),
    ("p384", "ES256", "unsupported signing algorithm for ec-p384 key: ES256"),
    ("p521", "RS256", "unsupported signing algorithm for ec-p521 key: RS256"),
    ("rsa", "ES256", "unsupported signing algorithm for RSA key: ES256"),
    ("rsa", "", "unsupported signing algorithm for RSA key: "),
    ("p256", "none", "unsupported signing algorithm for ec-p256 key: none"),
    ("p256", "HS256", "unsupported signing algorithm for ec-p256 key: HS256"),
    ("ed25519", "EdDSA", "unsupported key type 'ed25519.PublicKey'"),
]


@pytest.mark.parametrize(("name", "algorithm", "reason"), MISFITS)
@pytest.mark.spec("WIT-3.2-c", "WIT-3.2-d")
async def test_keys_and_algorithms_that_do_not_belong_together(
    stubs: Stubs, name: str, algorithm: str, reason: str
) -> None:
    call = (await stubs(LOCAL)).MintWITSVID(minting(public_key=KEYS[name], signing_algorithm=algorithm))
    text = f"invalid signing algorithm or key type: {reason}"
    assert await refusal(call) == (grpc.StatusCode.INVALID_ARGUMENT, text)


async def test_such_items_of_a_batch_are_refused_alone(stubs: Stubs) -> None:
    items = [params(key=KEYS[name], algorithm=algorithm) for name, algorithm, _ in MISFITS]
    answer = await (await stubs(AN_AGENT)).BatchNewWITSVID(batch(*items))
    texts = [f"invalid signing algorithm or key type: {reason}" for *_, reason in MISFITS]
    assert [(one.status.code, one.status.message) for one in answer.results] == [(3, text) for text in texts]


@pytest.mark.parametrize(("name", "algorithm"), ALL_NINE)
@pytest.mark.spec("WIT-3.2-c")
async def test_all_nine_algorithms_of_workloads(stubs: Stubs, name: str, algorithm: str) -> None:
    key = KEYS[name]
    stub = await stubs(LOCAL)
    answer = await stub.MintWITSVID(minting(public_key=key, signing_algorithm=algorithm))
    read = wit.verify(answer.svid.token, BUNDLES, START)
    assert (read.public_key, read.algorithm) == (key, algorithm)


async def test_an_operator_has_one_minted(stubs: Stubs) -> None:
    svid = (await (await stubs(LOCAL)).MintWITSVID(minting(ttl=30))).svid
    read = wit.verify(svid.token, BUNDLES, START)
    assert (str(read.spiffe_id), svid.expires_at, svid.issued_at) == ("spiffe://example.org/m", NOW + 30, NOW)
    assert (svid.id.path, read.expires_at, read.public_key) == ("/m", NOW + 30, P256)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (minting(id=SPIFFEID()), "invalid SPIFFE ID: trust domain is missing"),
        (minting(id=SPIFFEID(trust_domain="other.test", path="/m")), "invalid SPIFFE ID: "),
        (minting("/spire/x"), "path is in the reserved namespace"),
        (minting(public_key=b""), "invalid public key: "),
        (minting(public_key=b"x"), "invalid public key: "),
    ],
)
async def test_what_is_not_minted(stubs: Stubs, request_: pb.MintWITSVIDRequest, reason: str) -> None:
    code, text = await refusal((await stubs(LOCAL)).MintWITSVID(request_))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert reason in text


async def test_a_batch_of_nothing_and_one_that_is_too_large(stubs: Stubs) -> None:
    stub = await stubs(AN_AGENT)
    assert await refusal(stub.BatchNewWITSVID(batch())) == (grpc.StatusCode.INVALID_ARGUMENT, "missing parameters")
    code, text = await refusal(stub.BatchNewWITSVID(batch(*[params()] * 501)))
    assert (code, text) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "rejecting request due to certificate signing rate limiting: rate (501) exceeds burst size (500)",
    )


async def test_a_large_batch_keeps_its_order(stubs: Stubs) -> None:
    wanted = ["mine", "plain", "theirs"] * 30
    answer = await (await stubs(AN_AGENT)).BatchNewWITSVID(batch(*map(params, wanted)))
    paths = [one.svid.id.path for one in answer.results]
    assert paths == ["/mine", "/plain", ""] * 30


async def refusal(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""
