"""Reports of verifiers, from their messages."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from assay.spiffeid import SpiffeId
from assay_proto.status.v1 import status_pb2 as pb
from assay_server.governance.intake import Intake
from assay_server.model.governed.report import Report


def reports_of(messages: Iterable[pb.Report]) -> list[Report]:
    """As values, just as they were said."""
    return [
        Report(
            kind=one.kind,
            at=one.at,
            jti=one.jti,
            task_id=one.task_id,
            spiffe_id=one.spiffe_id,
            audience=one.audience,
            action=one.action,
            resource=one.resource,
            outcome=one.outcome,
            reason=one.reason,
            parameters_digest=one.parameters_digest,
            data_class=one.data_class,
            decision_id=one.decision_id,
            staleness=one.staleness,
            trace_id=one.trace_id,
        )
        for one in messages
    ]


def taking(intake: Intake) -> Callable[[str, SpiffeId, int, Sequence[pb.Report]], Awaitable[int]]:
    """Writes reports down as they come over the wire: reporter, verifier, number of the first; as `Intake.take`."""

    async def take(reporter: str, verifier: SpiffeId, first: int, messages: Sequence[pb.Report]) -> int:
        return await intake.take(reporter, verifier, first, reports_of(messages))

    return take
