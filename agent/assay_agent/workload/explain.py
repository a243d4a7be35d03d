"""assay.agent.v1.Explain: the agent's own view of a workload, for root and for the agent's user."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from assay.plugin.workloadattestor import withheld_by
from assay.rpc.method import Context, Registry, Service
from assay.rpc.server import peer_of
from assay.rpc.status import EndError, StatusCode
from assay.spiffeid import SpiffeId
from assay.transport.peer import UnixPeer
from assay.wire import entry as entry_wire
from assay.wire import selector as selector_wire
from assay.wire import spiffeid as spiffeid_wire
from assay.wire.service import served
from assay_agent.cache import Cache
from assay_agent.explanation.scene import Sight, Workload
from assay_agent.workload.attestor import Attestor
from assay_agent.workload.refusals import Refusals
from assay_proto.agent.v1 import explain_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["Explain"]
GET_VIEW = SERVICE.methods_by_name["GetView"]
# Entries in one turn at the loop, which workloads share.
TURN = 200


class ExplainApi:
    """Answers GetView. `agent_id` gives the agent's SPIFFE ID, None before the node is attested."""

    def __init__(
        self, cache: Cache, attestor: Attestor, refusals: Refusals, agent_id: Callable[[], SpiffeId | None]
    ) -> None:
        self._cache = cache
        self._attestor = attestor
        self._refusals = refusals
        self._agent_id = agent_id

    def register(self, server: Registry) -> None:
        """Serve it there."""
        server.add_generic_rpc_handlers((self.service(),))

    def service(self) -> Service:
        """As a server registers it: whichever socket it is on, it answers the same callers."""
        return served(SERVICE, self)

    async def GetView(self, request: pb.GetViewRequest, context: Context) -> pb.GetViewResponse:
        """The view; a process that is named is attested as if it had called."""
        _require_operator(context)
        agent_id, cache = self._agent_id(), self._cache
        workload = await self._look_at(request.pid) if request.pid > 0 else None
        entries: list[entry_wire.Message] = []
        for number, entry in enumerate(tuple(cache.entries.values())):
            if number % TURN == 0:
                await context.turn()
            entries.append(entry_wire.to_proto(entry))
        return pb.GetViewResponse(
            agent_id=None if agent_id is None else spiffeid_wire.to_proto(agent_id),
            synced=cache.synced,
            attestors=[pb.Attestor(name=one.name, withheld=withheld_by(one)) for one in self._attestor.plugins],
            entries=entries,
            # What names instances has its SVIDs signed as processes ask for them: nothing is pending.
            signed_entry_ids=sorted({*cache.svids, *(one.id for one in cache.entries.values() if one.instance_from)}),
            workload=None if workload is None else _to_proto(workload),
            refused=[_to_proto(one) for one in self._refusals.kept],
        )

    async def _look_at(self, pid: int) -> Workload:
        asked = Workload(pid=pid)
        uid = user_of(pid)
        if uid is None:
            return replace(asked, sight=Sight.GONE)
        found = await self._attestor.examine(pid)
        return replace(asked, uid=uid, selectors=found.selectors, failures=found.failures)


def user_of(pid: int) -> int | None:
    """The effective user of that process; None if there is none."""
    try:
        return Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return None


def _require_operator(context: object) -> None:
    peer = peer_of(context)
    if not isinstance(peer, UnixPeer) or peer.uid not in {0, os.geteuid()}:
        raise EndError(StatusCode.PERMISSION_DENIED, "only root and the agent's user may ask")


def _to_proto(workload: Workload) -> pb.Workload:
    return pb.Workload(
        pid=workload.pid,
        uid=workload.uid or 0,
        selectors=map(selector_wire.to_proto, sorted(workload.selectors)),
        failures=workload.failures,
        gone=workload.sight is Sight.GONE,
        refused_at=workload.refused_at,
    )
