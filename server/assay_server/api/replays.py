"""assay.ledger.v1.Replays: tasks told from their events, with their decisions decided once more."""

import json
from collections.abc import Iterable

from assay.rpc.method import Context
from assay_proto.ledger.v1 import replay_pb2 as pb
from assay_server.api.policy_values import decision_to_proto
from assay_server.api.task_values import to_proto
from assay_server.datastore.base import Page
from assay_server.governance.explaining import DecisionTold, Replays, Step
from assay_server.policy.replay import Difference


class ReplaysApi:
    """The Replays service."""

    def __init__(self, replays: Replays) -> None:
        self._replays = replays

    async def Explain(self, request: pb.ExplainTaskRequest, context: Context) -> pb.ExplainTaskResponse:
        """A task, page by page."""
        told = await self._replays.explain(request.task_id, Page(max(0, request.page_size), request.page_token))
        return pb.ExplainTaskResponse(
            task=to_proto(told.task) if told.task is not None else None,
            steps=[_step(one) for one in told.steps],
            next_page_token=told.token,
            untold_decisions=told.untold,
        )


def _step(step: Step) -> pb.Step:
    event = step.event
    return pb.Step(
        type=event.type.value,
        at=event.at,
        actor=event.actor,
        subject=event.subject,
        principal=event.principal,
        actor_type=event.actor_type,
        details=json.dumps(event.details, ensure_ascii=False, sort_keys=True),
        replay=_replay(step.told) if step.told is not None else None,
    )


def _replay(told: DecisionTold) -> pb.Replay:
    replayed = told.replayed
    return pb.Replay(
        recorded=decision_to_proto(told.recorded) if told.recorded is not None else None,
        replayed=decision_to_proto(replayed.answer) if replayed.answer is not None else None,
        same=told.same,
        differences=[
            *_differences(told.altered, altered=True),
            *_differences(replayed.differences, altered=False),
        ],
        why_not=replayed.why_not,
    )


def _differences(found: Iterable[Difference], *, altered: bool) -> Iterable[pb.Difference]:
    return (pb.Difference(field=one.field, recorded=one.recorded, found=one.found, altered=altered) for one in found)
