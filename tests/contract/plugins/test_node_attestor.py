"""What both ends of every node attestor keep to, joined as the AttestAgent stream joins them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import load_der_x509_certificate

from assay.clock import Clock
from assay.config.plugin import Plugin
from assay.errors import AssayError
from assay.namespace import require_agent
from assay.plugin import external
from assay.plugin.nodeattestor import AgentNodeAttestor, AttestedNode, ServerNodeAttestor
from assay.testing.authority import Ca, leaf_extensions
from assay.testing.trustdomain import InMemoryTrustDomain
from assay.testing.workloadapi import WorkloadApiServer
from assay_agent.plugins import builtin
from assay_server.attestation.tokens import JoinTokens
from assay_server.datastore.sql.store import SqlStore, open_store
from assay_server.plugins.builtin import Host, node_attestors


@dataclass(frozen=True)
class Pair:
    """`stranger` is an agent that is not to be admitted. `stands_on` has what is to be closed at the end."""

    server: ServerNodeAttestor
    agent: AgentNodeAttestor
    stranger: AgentNodeAttestor
    stands_on: ExitStack = field(default_factory=ExitStack)

    async def attest(self, agent: AgentNodeAttestor) -> AttestedNode:
        conversation = await agent.begin()
        return await self.server.attest(conversation.payload, conversation.answer)


Joining = Callable[[Path, external.Host, Host], Awaitable[Pair]]


def agent_of(name: str, data: Mapping[str, object], lent: external.Host, token: str = "") -> AgentNodeAttestor:
    return builtin.node_attestor(Plugin(name, data), token, None, lent)


def server_of(name: str, data: dict[str, object], host: Host) -> ServerNodeAttestor:
    return node_attestors([Plugin(name, data)], host)[name]


async def join_token(_folder: Path, lent: external.Host, host: Host) -> Pair:
    token = (await host.tokens.create(600)).value
    server = server_of("join_token", {}, host)
    return Pair(server, agent_of("join_token", {}, lent, token), agent_of("join_token", {}, lent, "another"))


async def x509pop(folder: Path, lent: external.Host, host: Host) -> Pair:
    known, unknown = Ca.create("nodes", now=lent.clock.now()), Ca.create("others", now=lent.clock.now())
    (folder / "ca.pem").write_bytes(known.certificate.public_bytes(Encoding.PEM))
    agent, stranger = (_x509pop_agent(folder / name, ca, lent) for name, ca in (("known", known), ("unknown", unknown)))
    return Pair(server_of("x509pop", {"ca_bundle_path": str(folder / "ca.pem")}, host), agent, stranger)


def _x509pop_agent(folder: Path, ca: Ca, lent: external.Host) -> AgentNodeAttestor:
    folder.mkdir()
    der, key = ca.issue(leaf_extensions(), now=lent.clock.now())
    paths = {"certificate_path": folder / "node.pem", "private_key_path": folder / "node.key"}
    paths["certificate_path"].write_bytes(load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    paths["private_key_path"].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return agent_of("x509pop", {name: str(path) for name, path in paths.items()}, lent)


async def x509pop_svid(_folder: Path, lent: external.Host, host: Host) -> Pair:
    stack = ExitStack()
    domains = [InMemoryTrustDomain(host.trust_domain.name, clock=lent.clock) for _ in range(2)]
    apis = [stack.enter_context(WorkloadApiServer(domain)) for domain in domains]
    for api in apis:
        api.serve("/spire-exchange/node")
    known = replace(host, authorities=lambda: [one.der for one in domains[0].bundle.x509_authorities])
    agent, stranger = (agent_of("x509pop", {"spiffe_endpoint_socket": api.address}, lent) for api in apis)
    return Pair(server_of("x509pop", {"mode": "spiffe"}, known), agent, stranger, stack)


async def acme(_folder: Path, lent: external.Host, host: Host) -> Pair:
    right, wrong = ({"name": "node-1", "password": word} for word in ("right", "wrong"))
    return Pair(
        server_of("acme", {"password": "right"}, host), agent_of("acme", right, lent), agent_of("acme", wrong, lent)
    )


@pytest_asyncio.fixture
async def store(tmp_path: Path, host: external.Host) -> AsyncIterator[SqlStore]:
    store = await open_store(tmp_path / "datastore.sqlite3", clock=host.clock)
    yield store
    await store.close()


KINDS = [join_token, x509pop, x509pop_svid, acme]


@pytest_asyncio.fixture(params=KINDS, ids=[kind.__name__ for kind in KINDS])
async def pair(
    request: pytest.FixtureRequest, tmp_path: Path, host: external.Host, store: SqlStore
) -> AsyncIterator[Pair]:
    if request.param is acme:
        request.getfixturevalue("acme")
    clock: Clock = host.clock
    tokens = JoinTokens(store, clock, host.trust_domain)
    joining: Joining = request.param
    pair = await joining(tmp_path, host, Host(host.trust_domain, clock, tokens, tmp_path))
    with pair.stands_on:
        yield pair


async def test_a_node_that_is_known_is_an_agent(pair: Pair, host: external.Host) -> None:
    attested = await pair.attest(pair.agent)
    require_agent(attested.spiffe_id, host.trust_domain)


async def test_one_that_may_attest_again_is_the_same_agent(pair: Pair) -> None:
    first = await pair.attest(pair.agent)
    if first.can_reattest:
        assert await pair.attest(pair.agent) == first


async def test_a_stranger_is_refused(pair: Pair) -> None:
    with pytest.raises(AssayError):
        await pair.attest(pair.stranger)


@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff\x00", b"x" * 100_000])
async def test_garbage_is_refused(pair: Pair, payload: bytes) -> None:
    async def answer(_challenge: bytes) -> bytes:
        return payload

    with pytest.raises(AssayError):
        await pair.server.attest(payload, answer)


async def test_an_answer_that_is_another_conversations_is_refused(pair: Pair) -> None:
    """Where there is a challenge at all."""
    asked: list[bytes] = []

    async def refuse(challenge: bytes) -> bytes:
        asked.append(challenge)
        return b"heard elsewhere"

    conversation = await pair.agent.begin()
    try:
        await pair.server.attest(conversation.payload, refuse)
    except AssayError:
        return
    assert not asked


async def test_a_challenge_that_makes_no_sense_is_a_refusal(pair: Pair) -> None:
    with pytest.raises(AssayError):
        await (await pair.agent.begin()).answer(b"")


def test_the_agents_end_has_the_name_on_the_wire(pair: Pair) -> None:
    assert pair.agent.type
