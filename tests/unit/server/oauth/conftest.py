"""A token endpoint on a real port over real TLS, one task of one agent, and clients with SVIDs of the three kinds."""

import asyncio
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from assay.authorize import one_of
from assay.bundle import Bundle, jwk
from assay.entry import Entry
from assay.governed.authority import Access
from assay.namespace import server_id
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import X509Svid, jws
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.testing.deployment import free_port
from assay.tls import client_context
from assay_proto.status.v1 import status_pb2 as pb
from assay_server.config.tokenendpoint import TokenEndpointSettings
from assay_server.credential import Issuer
from assay_server.credential.authorities import Authorities
from assay_server.datastore.base import Transaction
from assay_server.datastore.sql.store import SqlStore
from assay_server.governance.calling import CallService
from assay_server.governance.credentials import CredentialService
from assay_server.governance.journal import Write
from assay_server.governance.policies import ShippedPolicy
from assay_server.governance.tokens import TaskTokens
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.owner import OWNER, Owner
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState
from assay_server.model.governed.task import TASK, Intent, Task
from assay_server.oauth.serve import serve_tokens
from assay_server.oauth.status import StatusParts
from assay_server.status.feed import StatusFeed
from assay_server.status.lists import StatusLists

CRM = "https://crm/mcp"
ALICE = Owner("person:alice@corp")
BOT = Principal(
    "bot", ActorType.AI_AGENT, ALICE.name, "answer", "prod", "acme", tools=("crm.read", "crm.list"),
    state=PrincipalState.ACTIVE, risk_class=Risk.LOW, model="acme-4",
)  # fmt: skip
POSSESSION = "oauth-client-attestation-pop+jwt"


@dataclass(frozen=True)
class Shown:
    """What a TLS client presents, and whom it takes."""

    presented: X509Svid
    bundle: Bundle

    def svid(self) -> X509Svid:
        return self.presented

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        return {self.bundle.trust_domain: self.bundle}


@dataclass
class Reported:
    """What verifiers reported."""

    batches: list[tuple[str, str, int, list[str]]] = field(default_factory=list)

    async def take(self, reporter: str, verifier: SpiffeId, first: int, reports: Sequence[pb.Report]) -> int:
        self.batches.append((reporter, str(verifier), first, [one.jti for one in reports]))
        return first + len(reports) - 1


@dataclass
class Endpoint:
    """The endpoint, and what a test needs to come to it as somebody."""

    issuer: str
    store: SqlStore
    authority: Authority
    clock: FakeClock
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    reports: Reported = field(default_factory=Reported)
    feed: StatusFeed | None = None

    @property
    def now(self) -> int:
        return int(self.clock.now().timestamp())

    def client(self, path: str = "") -> httpx.AsyncClient:
        """A client with the X.509-SVID of that path, or with none."""
        return httpx.AsyncClient(base_url=self.issuer, verify=self.context(path))

    def context(self, path: str) -> ssl.SSLContext:
        svid = self.authority.x509_svid(path or "/nobody", now=self.clock.now())
        wanted = one_of(server_id(self.authority.trust_domain))
        return client_context(Shown(svid, self.authority.bundle), wanted, presents=bool(path), clock=self.clock)

    async def post(self, page: str, form: Mapping[str, Any], *, path: str = "", **headers: str) -> httpx.Response:
        """The answer to a form."""
        async with self.client(path) as client:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.post(page, data=dict(form), headers=sent)

    async def put(self, *writes: Write) -> None:
        def write(tx: Transaction) -> None:
            for noun, value in writes:
                tx.governed.put(noun, value)

        await self.store.write(write)

    def signed(self, header: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
        """A JWT by the client's key."""
        head = {"alg": "ES256", **header}
        text = ".".join(jwk.encode(json.dumps(part).encode()) for part in (head, payload))
        return f"{text}.{jwk.encode(jws.sign('ES256', self.key, text.encode()))}"

    def dpop(self, page: str = "/token", **changes: Any) -> str:  # noqa: ANN401 - claims
        """A DPoP proof by the client's key."""
        header = {"typ": "dpop+jwt", "jwk": jwk.emit(self.key.public_key())}
        jti = secrets.token_urlsafe(8)
        return self.signed(header, {"htm": "POST", "htu": self.issuer + page, "iat": self.now, "jti": jti, **changes})

    def possession(self, **changes: Any) -> str:  # noqa: ANN401 - claims
        """A proof of possession beside an attestation."""
        jti = secrets.token_urlsafe(8)
        return self.signed({"typ": POSSESSION}, {"aud": self.issuer, "iat": self.now, "jti": jti, **changes})


def task_of(now: int, **changes: Any) -> Task:  # noqa: ANN401 - fields of Task
    access = Access(CRM, ("crm.read", "crm.list"))
    task = Task(
        "tsk_1", "bot", "", ALICE.name, "acme", "prod", Intent("answer"), (access,), "sha-256:i", "sha-256:a",
        "operator:local", now, now + 600,
    )  # fmt: skip
    return replace(task, **changes)


@pytest.fixture
def authority() -> Authority:
    return Authority(wit=True)


@pytest.fixture
async def endpoint(
    store: SqlStore, clock: FakeClock, authority: Authority, authorities: Authorities, issuer: Issuer
) -> AsyncIterator[Endpoint]:
    port = free_port()
    found = Endpoint(f"https://localhost:{port}", store, authority, clock)
    me, parent = authority.id("/principal/bot"), authority.id("/agent")
    entry = Entry("bot", me, parent, (Selector("unix", "uid:1"),), principal="bot")

    def fill(tx: Transaction) -> None:
        tx.bundles.put(authority.bundle)
        tx.entries.create(entry)

    await store.write(fill)
    tools = [Tool(name, CRM, ActionClass.CONSEQUENTIAL_READ, Risk.LOW) for name in BOT.tools]
    await found.put(
        (OWNER, ALICE), (PRINCIPAL, BOT), (RESOURCE, Resource(CRM, "prod", "acme", Sensitivity.INTERNAL)),
        *((TOOL, tool) for tool in tools), (TASK, task_of(found.now)),
    )  # fmt: skip
    tokens = TaskTokens(found.issuer, authority.trust_domain, authorities, f"{found.issuer}/status")
    credentials = CredentialService(store, ShippedPolicy(), clock, tokens.sign, tokens.ends_at, found.issuer)
    calls = CallService(store, ShippedPolicy(), clock)
    settings = TokenEndpointSettings(found.issuer, "127.0.0.1", port)
    status = StatusParts(
        StatusLists(f"{found.issuer}/status", store, authorities, clock),
        StatusFeed(store, clock, authority.trust_domain, {"consequential_read": 60}),
        found.reports.take,
    )
    found.feed = status.feed
    async with asyncio.TaskGroup() as tasks:
        serving = [
            tasks.create_task(
                serve_tokens(settings, credentials, status, store, issuer, authority.trust_domain, clock, calls)
            ),
            tasks.create_task(status.feed.run()),
        ]
        async with found.client() as client:
            await _until_served(client)
        yield found
        for one in serving:
            one.cancel()


async def _until_served(client: httpx.AsyncClient) -> None:
    while True:
        with suppress(httpx.ConnectError):
            await client.get("/jwks")
            return
        await asyncio.sleep(0.01)


@pytest.fixture
def form() -> dict[str, str]:
    """A request for the task's own credentials."""
    return {"grant_type": "client_credentials", "resource": CRM, "client_id": "spiffe://example.org/principal/bot"}
