"""Callers that got nothing, kept for who asks why; the log has the short form of the same."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import structlog

from assay.clock import Clock
from assay.plugin.workloadattestor import WorkloadAttestor, withheld_by
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.transport.peer import UnixPeer
from assay_agent.cache import Cache
from assay_agent.explanation.findings import explain
from assay_agent.explanation.scene import AgentView, Scene, Workload

log = structlog.get_logger(__name__)

# Users whose last refusal is kept.
MOST_USERS = 64
# Seconds between two lines about one user, and between any two: entries are looked through for each.
PER_USER, BETWEEN = 60.0, 1.0


class Refusals:
    """The last refusal of each user. Now and then it is logged which entry came nearest."""

    def __init__(
        self,
        cache: Cache,
        clock: Clock,
        trust_domain: TrustDomain,
        attestors: Sequence[WorkloadAttestor],
        agent_id: Callable[[], SpiffeId | None],
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._trust_domain = trust_domain
        self._agent_id = agent_id
        self.use(attestors)
        self._kept: OrderedDict[int, Workload] = OrderedDict()
        self._logged: OrderedDict[int, float] = OrderedDict()
        self._quiet_until = 0.0

    def use(self, attestors: Sequence[WorkloadAttestor]) -> None:
        """These are what looks at callers from now on."""
        self._attestors = {one.name: withheld_by(one) for one in attestors}

    @property
    def kept(self) -> tuple[Workload, ...]:
        """What is kept, the last first."""
        return tuple(reversed(self._kept.values()))

    def note(self, peer: UnixPeer, selectors: frozenset[Selector]) -> None:
        """This caller was told that no identity is issued."""
        now = int(self._clock.now().timestamp())
        workload = Workload(pid=peer.pid, uid=peer.uid, selectors=selectors, refused_at=now)
        self._kept[peer.uid] = workload
        self._kept.move_to_end(peer.uid)
        if len(self._kept) > MOST_USERS:
            self._kept.popitem(last=False)
        if self._may_log(peer.uid):
            self._log(workload)

    def _may_log(self, uid: int) -> bool:
        now = self._clock.monotonic()
        last = self._logged.get(uid)
        if now < self._quiet_until or (last is not None and now < last + PER_USER):
            return False
        self._quiet_until = now + BETWEEN
        self._logged[uid] = now
        self._logged.move_to_end(uid)
        if len(self._logged) > MOST_USERS:
            self._logged.popitem(last=False)
        return True

    def _log(self, workload: Workload) -> None:
        agent = AgentView(
            spiffe_id=self._agent_id(),
            synced=self._cache.synced,
            attestors=self._attestors,
            held=self._cache.entries,
            signed=self._cache.svids.keys(),
        )
        now = self._clock.now().timestamp()
        found = explain(Scene(trust_domain=self._trust_domain, workload=workload, agent=agent, now=now), most=1)
        nearest = found[0]
        entry = {} if nearest.entry is None else {"entry": nearest.entry.id, "spiffe_id": str(nearest.entry.spiffe_id)}
        log.warning(
            "No entry fits workload",
            pid=workload.pid,
            uid=workload.uid,
            selectors=sorted(map(str, workload.selectors)),
            reason="; ".join(fault.text for fault in nearest.faults),
            hint=f"assay explain --uid {workload.uid}",
            **entry,
        )
