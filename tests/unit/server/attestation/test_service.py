"""Attestation: from a proof to an SVID and a row."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
from cryptography import x509
from structlog.testing import capture_logs

from assay.crypto import csr, keys
from assay.errors import AssayError, FailedPreconditionError, InvalidArgumentError, PermissionDeniedError
from assay.keymanager.base import KeyType
from assay.plugin.nodeattestor import AttestedNode
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.clock import START
from assay_server.attestation.service import Attestation, AttestationService
from assay_server.authorization.nodes import NodeRows
from assay_server.credential import Issuer
from assay_server.datastore.base import NodeFilter
from assay_server.datastore.recent import RECENT_CHANGES
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import JoinToken, Node

NOW = int(START.timestamp())
TD = TrustDomain("example.org")
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/scripted/one")
KEY = keys.generate(KeyType.EC_P256)
CSR = csr.create(KEY)
SELECTORS = (Selector("scripted", "b"), Selector("scripted", "a"), Selector("scripted", "b"))


@dataclass
class Scripted:
    """An attestor that challenges once and says what it was told to say."""

    outcome: AttestedNode | AssayError

    async def attest(self, payload: bytes, challenge: Callable[[bytes], Awaitable[bytes]]) -> AttestedNode:
        if await challenge(b"challenge to " + payload) != b"answer":
            raise PermissionDeniedError("wrong answer")
        if isinstance(self.outcome, AssayError):
            raise self.outcome
        return self.outcome


@pytest.fixture
def attestor() -> Scripted:
    return Scripted(AttestedNode(AGENT, SELECTORS, can_reattest=True))


@pytest.fixture
def service(store: SqlStore, issuer: Issuer, attestor: Scripted) -> AttestationService:
    return AttestationService(TD, {"scripted": attestor, "join_token": attestor}, NodeRows(store), issuer)


async def answer(challenge: bytes) -> bytes:
    return b"answer" if challenge == b"challenge to proof" else b""


def request(kind: str = "scripted", payload: bytes = b"proof", der: bytes = CSR) -> Attestation:
    return Attestation(kind, payload, der)


async def stored(store: SqlStore) -> Node | None:
    return await store.read(lambda tx: tx.nodes.get(AGENT))


async def test_an_admitted_node_gets_an_svid_and_a_row(service: AttestationService, store: SqlStore) -> None:
    with capture_logs() as logs:
        attested = await service.attest(request(), answer, "192.0.2.1:999")
    leaf = x509.load_der_x509_certificate(attested.svid.chain[0])
    assert attested.can_reattest
    assert leaf.public_key() == KEY.public_key()
    assert await stored(store) == Node(
        AGENT, "scripted", str(leaf.serial_number), int(leaf.not_valid_after_utc.timestamp()),
        can_reattest=True, selectors=(Selector("scripted", "a"), Selector("scripted", "b")),
    )  # fmt: skip
    assert [(line["event"], line["agent_id"]) for line in logs] == [("Agent attestation request completed", str(AGENT))]


async def test_attesting_again_replaces_both_serials_and_keeps_the_version(
    service: AttestationService, store: SqlStore
) -> None:
    known = Node(AGENT, "scripted", "5", NOW, new_serial="6", new_expires_at=NOW, agent_version="1.0")
    await store.write(lambda tx: tx.nodes.put(known))
    svid = (await service.attest(request(), answer)).svid
    node = await stored(store)
    assert node is not None
    assert (node.serial, node.new_serial, node.new_expires_at, node.agent_version) == (svid.serial, "", 0, "1.0")


async def test_a_banned_agent_is_refused(service: AttestationService, store: SqlStore) -> None:
    banned = Node(AGENT, "scripted", "", NOW)
    await store.write(lambda tx: tx.nodes.put(banned))
    with pytest.raises(PermissionDeniedError) as refused:
        await service.attest(request(), answer)
    assert (refused.value.message, refused.value.reason) == ("failed to attest: agent is banned", None)
    assert await stored(store) == banned


async def test_a_ban_that_is_in_the_store_alone_is_found_by_the_transaction(
    service: AttestationService, store: SqlStore
) -> None:
    banned = Node(AGENT, "scripted", "", NOW)
    await store.write(lambda tx: tx.nodes.put(banned))
    other = replace(banned, spiffe_id=SpiffeId(TD, "/spire/agent/scripted/other"))
    await store.write(lambda tx: [tx.nodes.put(other) for _ in range(RECENT_CHANGES)])  # type: ignore[func-returns-value]
    assert service.rows.known(AGENT) is None
    with pytest.raises(PermissionDeniedError, match=r"^failed to attest: agent is banned"):
        await service.attest(request(), answer)
    assert await stored(store) == banned


async def test_a_ban_during_the_attestation_wins(service: AttestationService, store: SqlStore) -> None:
    active = Node(AGENT, "scripted", "5", NOW)
    await store.write(lambda tx: tx.nodes.put(active))
    await service.rows.get(AGENT)
    await store.write(lambda tx: tx.nodes.put(replace(active, serial="")))  # unseen by the rows at hand
    with pytest.raises(PermissionDeniedError, match=r"^failed to attest: agent is banned"):
        await service.attest(request(), answer)
    assert await stored(store) == replace(active, serial="")


async def test_an_unknown_attestor(service: AttestationService) -> None:
    with pytest.raises(FailedPreconditionError) as refused:
        await service.attest(request("sshpop"), answer)
    assert refused.value.message == 'error getting node attestor: could not find node attestor type "sshpop"'


@pytest.mark.parametrize(
    ("wrong", "missing"),
    [
        (request(der=b""), "CSR"),
        (request(""), "attestation data type"),
        (request(payload=b""), "attestation data payload"),
    ],
)
async def test_what_is_missing_is_said(service: AttestationService, wrong: Attestation, missing: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        await service.attest(wrong, answer)
    assert refused.value.message == f"malformed param: missing {missing}"


async def test_a_plugins_refusal_carries_its_name(service: AttestationService, attestor: Scripted) -> None:
    attestor.outcome = PermissionDeniedError("certificate verification failed", hint="renew it")
    with pytest.raises(PermissionDeniedError) as refused:
        await service.attest(request(), answer)
    assert str(refused.value) == "nodeattestor(scripted): certificate verification failed; renew it"


async def test_a_join_tokens_refusal_does_not(service: AttestationService, attestor: Scripted) -> None:
    attestor.outcome = InvalidArgumentError("join token expired")
    with pytest.raises(InvalidArgumentError, match=r"^join token expired$"):
        await service.attest(request("join_token"), answer)


@pytest.mark.parametrize("path", ["/spire/server", "/elsewhere"])
async def test_an_id_that_no_agent_may_have_is_refused(
    service: AttestationService, attestor: Scripted, store: SqlStore, path: str
) -> None:
    attestor.outcome = AttestedNode(SpiffeId(TD, path))
    with pytest.raises(FailedPreconditionError, match="agent ID"):
        await service.attest(request(), answer)
    assert await store.read(lambda tx: tx.nodes.count(NodeFilter())) == 0


@pytest.mark.parametrize("der", [b"nonsense", CSR[:-1] + bytes([CSR[-1] ^ 1])])
async def test_a_bad_csr_leaves_no_row(service: AttestationService, store: SqlStore, der: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^failed to parse CSR: "):
        await service.attest(request(der=der), answer)
    assert await stored(store) is None


async def test_a_join_token_is_used_up_with_the_row_or_not_at_all(service: AttestationService, store: SqlStore) -> None:
    token = JoinToken("proof", NOW + 60)
    await store.write(lambda tx: tx.join_tokens.create(token))
    with pytest.raises(InvalidArgumentError, match=r"^failed to parse CSR: "):
        await service.attest(request("join_token", der=b"nonsense"), answer)
    assert await store.read(lambda tx: tx.join_tokens.get("proof")) == token
    await service.attest(request("join_token"), answer)
    assert await store.read(lambda tx: tx.join_tokens.get("proof")) is None
    before = await stored(store)
    with pytest.raises(InvalidArgumentError, match="has already been used"):
        await service.attest(request("join_token"), answer)
    assert await stored(store) == before


async def test_a_wrong_answer_leaves_no_row(service: AttestationService, store: SqlStore) -> None:
    async def wrong(_challenge: bytes) -> bytes:
        return b"wrong"

    with pytest.raises(PermissionDeniedError, match="wrong answer"):
        await service.attest(request(), wrong)
    assert await stored(store) is None
