"""Governed identities put together: a part of the composition root, loaded only when somebody asks for one of them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from assay.clock import Clock
from assay.entry import Entry
from assay.keymanager.base import KeyManager, KeyType, SigningKey
from assay.rpc.lazy import LazyService
from assay.rpc.method import Service
from assay.spiffeid import TrustDomain
from assay.wire.service import served
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.ratelimit import RateLimits
from assay_server.config import ServerConfig
from assay_server.credential import Issuer
from assay_server.credential.authorities import Authorities
from assay_server.datastore.base import Store, Transaction

if TYPE_CHECKING:
    from assay_server.governance.calling import CallService
    from assay_server.governance.checkpoints import Checkpoints
    from assay_server.governance.credentials import CredentialService, Sign
    from assay_server.governance.driftreconciler import Sweep
    from assay_server.governance.policies import Policies
    from assay_server.governance.revocations import RevocationService
    from assay_server.governance.tasks import TaskService
    from assay_server.governing_registration import Registration
    from assay_server.status.feed import StatusFeed
    from assay_server.status.reporting import Take

POLICY_KEY = "policy"
"""Where the key manager has the key that signs policies which come without a signature."""

LEDGER_KEY = "ledger"
"""Where it has the key that signs checkpoints of the ledger."""

# Seconds before what runs beside the services looks whether there is anything governed: the start comes first.
BREATH = 2.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What they stand on."""

    config: ServerConfig
    store: Store
    clock: Clock
    keys: KeyManager
    issuer: Issuer
    authorities: Authorities
    authorized: AuthorizedEntries
    limits: RateLimits

    @property
    def trust_domain(self) -> TrustDomain:
        """The server's."""
        return self.config.trust_domain


class Governing:
    """Its services, each loaded when it is first called, and what runs beside them."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._policies: Policies | None = None
        self._used = asyncio.Event()
        self._told = asyncio.Event()

    def services(self) -> Sequence[Service]:
        """For both sockets, where the table says who may call."""
        return (
            LazyService("assay.ledger.v1.Replays", self._replays),
            self._registering("assay.governance.v1.Owners", lambda parts: parts.owners()),
            self._registering("assay.governance.v1.Principals", lambda parts: parts.principals()),
            self._registering("assay.governance.v1.Catalogue", lambda parts: parts.catalogue()),
            LazyService("assay.policy.v1.Policies", self._policy_service),
            LazyService("assay.ledger.v1.Ledger", self._ledger_service),
            self._lazy("assay.task.v1.OperatorTasks", self._operator_tasks),
            self._lazy("assay.task.v1.AgentTasks", self._agent_tasks),
            self._lazy("assay.instance.v1.Instances", self._instances),
            self._lazy("assay.status.v1.AgentStatus", self._agent_status),
            self._lazy("assay.revocation.v1.Revocations", self._revocation_service),
        )

    async def run(self) -> None:
        """What runs beside the services; nothing of it is loaded where nothing is governed."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tell())
            tasks.create_task(self._reconcile())

    async def _tell(self) -> None:
        """Who listens does not wait for the start to be over: it has heard nothing since the server went."""
        await self._told.wait()
        await self._status_feed.run()

    async def _reconcile(self) -> None:
        await self._ground.clock.sleep(BREATH)
        if not await self._ground.store.read(_governed):
            await self._used.wait()
        from assay_server.governance.checkpoints import Checkpointer  # noqa: PLC0415 - not before the start is over
        from assay_server.governance.driftreconciler import DriftReconciler  # noqa: PLC0415 - likewise
        from assay_server.governance.pruning import Pruning  # noqa: PLC0415 - likewise
        from assay_server.governance.taskreconciler import TaskReconciler  # noqa: PLC0415 - likewise

        ground = self._ground
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._registration.sweeper.run())
            tasks.create_task(TaskReconciler(ground.store, ground.clock).run())
            tasks.create_task(self._revocations.run())
            tasks.create_task(DriftReconciler(ground.store, ground.clock, self._drift_sweep).run())
            tasks.create_task(Pruning(ground.store, ground.clock, ground.config.tasks.keep_ended).run())
            tasks.create_task(Checkpointer(ground.store, ground.clock, self._checkpoints).run())

    def _drift_sweep(self) -> "Sweep":
        from assay_server.governance.driftsweep import DriftSweep  # noqa: PLC0415 - Cedar is loaded with it

        return DriftSweep(self._ground.store, self.policies(), self._ground.clock).sweep

    def _replays(self) -> Service:
        from assay_proto.ledger.v1 import replay_pb2  # noqa: PLC0415 - with the first call
        from assay_server.api.replays import ReplaysApi  # noqa: PLC0415 - likewise
        from assay_server.governance.explaining import Replays  # noqa: PLC0415 - likewise

        return served(replay_pb2.DESCRIPTOR.services_by_name["Replays"], ReplaysApi(Replays(self._ground.store)))

    async def serve_tokens(self) -> None:
        """Answer OAuth clients until cancelled; the configuration has switched the endpoint on."""
        from assay_server.oauth.serve import serve_tokens  # noqa: PLC0415 - few switch it on
        from assay_server.oauth.status import StatusParts  # noqa: PLC0415 - likewise
        from assay_server.status.lists import StatusLists  # noqa: PLC0415 - likewise

        ground = self._ground
        settings = ground.config.token_endpoint
        lists = StatusLists(self._status_lists, ground.store, ground.authorities, ground.clock)
        self._told.set()
        status = StatusParts(lists, self._status_feed, self._take)
        parts = (ground.store, ground.issuer, ground.trust_domain, ground.clock, self._calls, self._published)
        await serve_tokens(settings, self._credentials(), status, *parts)

    async def _published(self) -> Sequence[Mapping[str, str]]:
        """Public keys beside those of tokens."""
        return [await self._checkpoints.current()]

    def _credentials(self) -> "CredentialService":
        from assay_server.governance.tokens import TaskTokens  # noqa: PLC0415 - loaded with the first call

        ground = self._ground
        tokens = TaskTokens(self._issuer, ground.trust_domain, ground.authorities, self._status_lists)
        return self._signed_by(tokens.sign, tokens.ends_at)

    def _signed_by(self, sign: "Sign", ends_at: Callable[[], int]) -> "CredentialService":
        from assay_server.governance.credentials import CredentialService  # noqa: PLC0415 - likewise

        ground = self._ground
        return CredentialService(ground.store, self.policies(), ground.clock, sign, ends_at, self._issuer)

    def policies(self) -> "Policies":
        """Where decisions find the live policy; one for all that decide."""
        from assay_server.governance.policies import Policies  # noqa: PLC0415 - Cedar is loaded with it

        if self._policies is None:
            self._policies = Policies(self._ground.store)
        return self._policies

    def _policy_service(self) -> Service:
        from assay_proto.policy.v1 import policy_pb2  # noqa: PLC0415 - with the first call
        from assay_server.api.policy import PolicyApi  # noqa: PLC0415 - likewise
        from assay_server.governance.policyreview import PolicyReview  # noqa: PLC0415 - likewise
        from assay_server.governance.policystore import PolicyStore  # noqa: PLC0415 - likewise

        ground = self._ground
        versions = PolicyStore(ground.store, ground.clock, self._policy_key)
        api = PolicyApi(versions, self.policies(), PolicyReview(ground.store, ground.clock))
        return served(policy_pb2.DESCRIPTOR.services_by_name["Policies"], api)

    async def _policy_key(self) -> SigningKey:
        return await self._key(POLICY_KEY)

    async def _key(self, key_id: str) -> SigningKey:
        keys = self._ground.keys
        return await keys.get(key_id) or await keys.generate(key_id, KeyType.EC_P256)

    def _ledger_service(self) -> Service:
        from assay_proto.ledger.v1 import ledger_pb2  # noqa: PLC0415 - with the first call
        from assay_server.api.ledger import LedgerApi  # noqa: PLC0415 - likewise
        from assay_server.governance.ledger import LedgerBook  # noqa: PLC0415 - likewise

        ground = self._ground
        book = LedgerBook(ground.store, ground.clock, ground.trust_domain, self._checkpoints)
        api = LedgerApi(book, self._checkpoints, ground.clock)
        return served(ledger_pb2.DESCRIPTOR.services_by_name["Ledger"], api)

    @cached_property
    def _checkpoints(self) -> "Checkpoints":
        from assay_server.governance.checkpoints import Checkpoints  # noqa: PLC0415 - with the first that needs them

        ground = self._ground
        return Checkpoints(ground.store, ground.clock, ground.trust_domain, lambda: self._key(LEDGER_KEY))

    @property
    def _issuer(self) -> str:
        """Whose tokens and hashes they are."""
        return self._ground.config.token_endpoint.issuer or str(self._ground.trust_domain.id)

    @property
    def _status_lists(self) -> str:
        """The URL below which status lists are published; empty where nobody could fetch them."""
        issuer = self._ground.config.token_endpoint.issuer
        return f"{issuer}/status" if issuer else ""

    @cached_property
    def _tasks(self) -> "TaskService":
        from assay_server.governance.opening import Terms  # noqa: PLC0415 - with the first call
        from assay_server.governance.tasks import TaskService  # noqa: PLC0415 - likewise

        ground, limits = self._ground, self._ground.config.tasks
        terms = Terms(self._issuer, limits.max_duration, limits.max_ai_agent_duration)
        return TaskService(ground.store, ground.clock, self.policies(), terms)

    @cached_property
    def _calls(self) -> "CallService":
        from assay_server.governance.calling import CallService  # noqa: PLC0415 - with the first call

        return CallService(self._ground.store, self.policies(), self._ground.clock)

    def _operator_tasks(self) -> Service:
        from assay_proto.task.v1 import task_pb2  # noqa: PLC0415 - with the first call
        from assay_server.api.task_operator import OperatorTasksApi  # noqa: PLC0415 - likewise

        descriptor = task_pb2.DESCRIPTOR.services_by_name["OperatorTasks"]
        return served(descriptor, OperatorTasksApi(self._tasks, self._calls, self._ground.clock))

    @cached_property
    def _revocations(self) -> "RevocationService":
        from assay_server.governance.revocations import RevocationService  # noqa: PLC0415 - not before the start is over

        return RevocationService(self._ground.store, self._ground.clock, lambda: self._status_feed)

    def _revocation_service(self) -> Service:
        from assay_proto.revocation.v1 import revocation_pb2  # noqa: PLC0415 - with the first call
        from assay_server.api.revocation import RevocationsApi  # noqa: PLC0415 - likewise

        descriptor = revocation_pb2.DESCRIPTOR.services_by_name["Revocations"]
        return served(descriptor, RevocationsApi(self._revocations, self._ground.clock))

    def _agent_tasks(self) -> Service:
        from assay_proto.task.v1 import task_pb2  # noqa: PLC0415 - with the first call
        from assay_server.api.task_agent import AgentTasksApi  # noqa: PLC0415 - likewise
        from assay_server.governance.callers import Callers  # noqa: PLC0415 - likewise
        from assay_server.governance.taskwatch import TaskWatch  # noqa: PLC0415 - likewise

        ground = self._ground
        callers = Callers(ground.authorized, ground.store, ground.clock)
        watch = TaskWatch(ground.store, self._tasks)
        api = AgentTasksApi(
            self._tasks, self._credentials(), self._calls, watch, callers, ground.authorized, ground.clock
        )
        return served(task_pb2.DESCRIPTOR.services_by_name["AgentTasks"], api)

    def _instances(self) -> Service:
        from assay_proto.instance.v1 import instance_pb2  # noqa: PLC0415 - loaded with the first call
        from assay_server.api.instance import InstanceApi  # noqa: PLC0415 - likewise
        from assay_server.governance.instances import Instances  # noqa: PLC0415 - likewise
        from assay_server.governance.tasksvids import TaskSvids, TaskWits  # noqa: PLC0415 - likewise

        ground = self._ground
        instances = Instances(ground.store, ground.clock, ground.trust_domain)
        tokens = TaskSvids(ground.store, self._svid_credentials(), ground.clock)
        wits = TaskWits(ground.store, self._wit_credentials, ground.issuer, ground.clock, self._status_lists)
        api = InstanceApi(ground.issuer, ground.authorized, ground.limits, instances, tokens, wits)
        return served(instance_pb2.DESCRIPTOR.services_by_name["Instances"], api)

    def _agent_status(self) -> Service:
        from assay_proto.status.v1 import status_pb2  # noqa: PLC0415 - with the first call
        from assay_server.api.agent_status import AgentStatusApi  # noqa: PLC0415 - likewise

        ground = self._ground
        self._told.set()
        api = AgentStatusApi(self._status_feed, ground.authorized, ground.store, ground.clock, self._take)
        return served(status_pb2.DESCRIPTOR.services_by_name["AgentStatus"], api)

    @cached_property
    def _status_feed(self) -> "StatusFeed":
        from assay_server.status.feed import StatusFeed  # noqa: PLC0415 - not before the start is over

        ground = self._ground
        return StatusFeed(ground.store, ground.clock, ground.trust_domain, ground.config.tasks.staleness)

    @cached_property
    def _take(self) -> "Take":
        """Writes down what verifiers report, whichever way it comes."""
        from assay_server.api.report_values import reports_of  # noqa: PLC0415 - with the first verifier
        from assay_server.governance.intake import Intake  # noqa: PLC0415 - likewise

        intake = Intake(self._ground.store, self._ground.clock)
        return lambda reporter, verifier, first, reports: intake.take(reporter, verifier, first, reports_of(reports))

    def _svid_credentials(self) -> "CredentialService":
        from assay_server.governance.tasksvids import signing  # noqa: PLC0415 - likewise

        issuer = self._ground.issuer
        return self._signed_by(signing(issuer, self._status_lists), lambda: issuer.jwt_ends_at)

    def _wit_credentials(self, sign: "Sign") -> "CredentialService":
        return self._signed_by(sign, lambda: self._ground.issuer.wit_ends_at)

    def _registering(self, name: str, made: Callable[["Registration"], Service]) -> Service:
        return self._lazy(name, lambda: made(self._registration))

    def _lazy(self, name: str, load: Callable[[], Service]) -> Service:
        def loaded() -> Service:
            self._used.set()
            return load()

        return LazyService(name, loaded)

    @cached_property
    def _registration(self) -> "Registration":
        from assay_server.governing_registration import Registration  # noqa: PLC0415 - loaded with the first call

        return Registration(self._ground.store, self._ground.clock, self._ground.trust_domain)


def unbound(tx: Transaction, entry: Entry, actor: str, now: int) -> None:
    """Write down that a binding was deleted as an entry."""
    from assay_server.governance.bindings import tell_deleted  # noqa: PLC0415 - loaded with the first such entry

    tell_deleted(tx, entry, actor, now)


def _governed(tx: Transaction) -> bool:
    """Whether there is an owner, without whom there is no principal."""
    from assay_server.model.governed.owner import OWNER  # noqa: PLC0415 - not at the start

    return tx.governed.count(OWNER, ()) > 0
