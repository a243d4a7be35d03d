"""Who is admitted to what, against a real store."""

from collections.abc import Iterable

import pytest
from structlog.testing import capture_logs

from assay.entry import Entry
from assay.errors import DenialReason, PermissionDeniedError, UnimplementedError
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.testing.clock import START, FakeClock
from assay_server.authorization.authorizer import Approach, Authorizer
from assay_server.authorization.caller import CallerKind, Credential
from assay_server.authorization.nodes import NodeRows
from assay_server.datastore.sql.store import SqlStore
from assay_server.model import Node

NOW = int(START.timestamp())
AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/x509pop/one")
WORKLOAD = SpiffeId.parse("spiffe://example.org/workload")
FOREIGN_ADMIN = SpiffeId.parse("spiffe://other.test/admin")

ATTEST = "/spire.api.server.agent.v1.Agent/AttestAgent"
LIST = "/spire.api.server.agent.v1.Agent/ListAgents"
RENEW = "/spire.api.server.agent.v1.Agent/RenewAgent"
FEDERATED = "/spire.api.server.bundle.v1.Bundle/GetFederatedBundle"
PUBLISH = "/spire.api.server.bundle.v1.Bundle/PublishJWTAuthority"
HEALTH = "/grpc.health.v1.Health/Check"

LOCAL = Approach(local=True)
ANONYMOUS = Approach(local=False, address="192.0.2.1:999")


def over_tls(spiffe_id: SpiffeId, serial: str = "5", expires_at: int = NOW + 100) -> Approach:
    return Approach(local=False, credential=Credential(spiffe_id, serial, expires_at), address="192.0.2.1:999")


def entry(entry_id: str, *, admin: bool = False, downstream: bool = False, expires_at: int = 0) -> Entry:
    return Entry(
        entry_id, WORKLOAD, AGENT, (Selector("unix", entry_id),),
        admin=admin, downstream=downstream, expires_at=expires_at,
    )  # fmt: skip


@pytest.fixture
def nodes(store: SqlStore) -> NodeRows:
    return NodeRows(store)


@pytest.fixture
def authorizer(store: SqlStore, nodes: NodeRows, clock: FakeClock) -> Authorizer:
    return Authorizer(store, nodes, clock, [FOREIGN_ADMIN])


async def put(store: SqlStore, *things: Node | Entry) -> None:
    def work(tx: object) -> None:
        for thing in things:
            if isinstance(thing, Node):
                tx.nodes.put(thing)  # type: ignore[attr-defined]
            else:
                tx.entries.create(thing)  # type: ignore[attr-defined]

    await store.write(work)


async def refused(authorizer: Authorizer, method: str, approach: Approach) -> PermissionDeniedError:
    with (
        capture_logs(),
        pytest.raises(PermissionDeniedError, match=f"authorization denied for method {method}") as error,
    ):
        await authorizer.admit(method, approach)
    return error.value


@pytest.mark.parametrize(
    ("approach", "kind"),
    [(LOCAL, CallerKind.LOCAL), (ANONYMOUS, CallerKind.ANONYMOUS), (over_tls(WORKLOAD), CallerKind.OTHER)],
)
async def test_open_rpcs_admit_anyone(authorizer: Authorizer, approach: Approach, kind: CallerKind) -> None:
    caller = await authorizer.admit(ATTEST, approach)
    assert caller.kind is kind
    assert caller.spiffe_id == (approach.credential.spiffe_id if approach.credential else None)


async def test_the_caller_knows_its_address(authorizer: Authorizer) -> None:
    caller = await authorizer.admit(ATTEST, ANONYMOUS)
    assert (caller.address, caller.host) == ("192.0.2.1:999", "192.0.2.1")
    assert (await authorizer.admit(ATTEST, LOCAL)).host == ""


async def test_an_rpc_that_is_not_in_the_table_is_refused_even_locally(authorizer: Authorizer) -> None:
    for approach in (LOCAL, ANONYMOUS, over_tls(FOREIGN_ADMIN)):
        await refused(authorizer, "/some.Service/Method", approach)


async def test_operators_rpcs_admit_the_admin_socket(authorizer: Authorizer) -> None:
    assert (await authorizer.admit(LIST, LOCAL)).kind is CallerKind.LOCAL


async def test_agents_rpcs_refuse_the_admin_socket(authorizer: Authorizer) -> None:
    await refused(authorizer, RENEW, LOCAL)


@pytest.mark.parametrize("method", [LIST, RENEW, FEDERATED, PUBLISH])
async def test_anonymous_callers_are_refused_without_a_reason(authorizer: Authorizer, method: str) -> None:
    error = await refused(authorizer, method, ANONYMOUS)
    assert error.reason is None
    assert error.hint == ""


async def test_health_is_for_the_admin_socket_only(authorizer: Authorizer) -> None:
    assert (await authorizer.admit(HEALTH, LOCAL)).kind is CallerKind.LOCAL
    for approach in (ANONYMOUS, over_tls(FOREIGN_ADMIN)):
        with pytest.raises(UnimplementedError, match=r"^unknown service grpc\.health\.v1\.Health$"):
            await authorizer.admit(HEALTH, approach)


async def test_configured_admins_are_admitted_also_from_another_trust_domain(authorizer: Authorizer) -> None:
    assert (await authorizer.admit(LIST, over_tls(FOREIGN_ADMIN))).kind is CallerKind.ADMIN


async def test_an_entry_makes_admins(authorizer: Authorizer, store: SqlStore) -> None:
    await refused(authorizer, LIST, over_tls(WORKLOAD))
    await put(store, entry("plain"), entry("admin", admin=True))
    assert (await authorizer.admit(LIST, over_tls(WORKLOAD))).kind is CallerKind.ADMIN
    await refused(authorizer, PUBLISH, over_tls(WORKLOAD))


async def test_an_entry_makes_downstreams(authorizer: Authorizer, store: SqlStore) -> None:
    await put(store, entry("downstream", downstream=True))
    assert (await authorizer.admit(PUBLISH, over_tls(WORKLOAD))).kind is CallerKind.DOWNSTREAM
    await refused(authorizer, LIST, over_tls(WORKLOAD))


async def test_an_expired_entry_makes_nobody_anything(authorizer: Authorizer, store: SqlStore) -> None:
    await put(store, entry("admin", admin=True, downstream=True, expires_at=NOW - 1))
    await refused(authorizer, LIST, over_tls(WORKLOAD))
    await refused(authorizer, PUBLISH, over_tls(WORKLOAD))


async def test_an_agent_is_admitted_with_its_row(authorizer: Authorizer, store: SqlStore) -> None:
    node = Node(AGENT, "x509pop", serial="5", expires_at=NOW + 100)
    await put(store, node)
    for method in (RENEW, FEDERATED):
        caller = await authorizer.admit(method, over_tls(AGENT))
        assert (caller.kind, caller.node, caller.spiffe_id) == (CallerKind.AGENT, node, AGENT)
    await refused(authorizer, LIST, over_tls(AGENT))


async def test_an_agent_that_is_refused_learns_why_and_the_log_says_who(authorizer: Authorizer) -> None:
    with capture_logs() as logs, pytest.raises(PermissionDeniedError) as error:
        await authorizer.admit(RENEW, over_tls(AGENT))
    assert error.value.reason is DenialReason.AGENT_NOT_ATTESTED
    assert error.value.message == f"authorization denied for method {RENEW}"
    assert logs == [
        {
            "event": "Agent is not attested", "log_level": "error", "method": RENEW,
            "caller_addr": "192.0.2.1:999", "caller_id": str(AGENT),
        }
    ]  # fmt: skip


async def test_a_workload_is_no_agent(authorizer: Authorizer) -> None:
    assert (await refused(authorizer, RENEW, over_tls(WORKLOAD))).reason is DenialReason.AGENT_NOT_ATTESTED


async def test_the_first_call_with_a_renewed_svid_ends_the_one_before(authorizer: Authorizer, store: SqlStore) -> None:
    await put(store, Node(AGENT, "x509pop", "5", NOW + 100, new_serial="6", new_expires_at=NOW + 900))
    await authorizer.admit(RENEW, over_tls(AGENT, "5"))
    caller = await authorizer.admit(RENEW, over_tls(AGENT, "6"))
    assert caller.node == Node(AGENT, "x509pop", "6", NOW + 900)
    assert await store.read(lambda tx: tx.nodes.get(AGENT)) == caller.node
    assert (await refused(authorizer, RENEW, over_tls(AGENT, "5"))).reason is DenialReason.AGENT_NOT_ACTIVE
    assert (await authorizer.admit(RENEW, over_tls(AGENT, "6"))).node == caller.node


async def test_a_renewed_svid_of_an_agent_banned_meanwhile_is_refused(
    authorizer: Authorizer, store: SqlStore, nodes: NodeRows
) -> None:
    await put(store, Node(AGENT, "x509pop", "5", NOW + 100, new_serial="6", new_expires_at=NOW + 900))
    await nodes.get(AGENT)
    # Behind the rows' back, as another process would: promotion decides on what the transaction sees.
    await put(store, Node(AGENT, "x509pop", "", NOW + 100))
    assert (await refused(authorizer, RENEW, over_tls(AGENT, "6"))).reason is DenialReason.AGENT_BANNED


async def test_an_expired_svid_is_refused_whatever_the_row_says(
    authorizer: Authorizer, store: SqlStore, clock: FakeClock
) -> None:
    await put(store, Node(AGENT, "x509pop", serial="5", expires_at=NOW + 100))
    clock.advance(101)
    assert (await refused(authorizer, RENEW, over_tls(AGENT))).reason is DenialReason.AGENT_EXPIRED


@pytest.mark.parametrize("approaches", [[ANONYMOUS], [LOCAL, over_tls(WORKLOAD)]])
async def test_refusals_name_the_method_and_nothing_else(
    authorizer: Authorizer, approaches: Iterable[Approach]
) -> None:
    for approach in approaches:
        assert str(await refused(authorizer, PUBLISH, approach)) == f"authorization denied for method {PUBLISH}"
