"""Reports as messages of assay.status.v1."""

from assay.tasktoken.report import Batch, Report
from assay_proto.status.v1 import status_pb2 as pb


def reports_message(reporter: str, batch: Batch) -> pb.Reports:
    """A batch as it is sent."""
    return pb.Reports(reporter=reporter, first=batch.first, reports=map(_report, batch.reports))


def _report(report: Report) -> pb.Report:
    return pb.Report(
        kind=report.kind.value,
        at=report.at,
        jti=report.jti,
        task_id=report.task_id,
        spiffe_id=report.spiffe_id,
        audience=report.audience,
        action=report.action,
        resource=report.resource,
        outcome=report.outcome.value,
        reason=report.reason,
        parameters_digest=report.parameters_digest,
        data_class=report.data_class,
        decision_id=report.decision_id,
        staleness=report.staleness,
        trace_id=report.trace_id,
    )
