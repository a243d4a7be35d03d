"""Reports as they come over the wire."""

from dataclasses import asdict, fields
from typing import Any

from assay_proto.status.v1 import status_pb2 as pb
from assay_server.api.report_values import reports_of
from assay_server.model.governed.report import Report


def test_every_field_of_a_report_is_read_as_it_was_said() -> None:
    names = [each.name for each in pb.Report.DESCRIPTOR.fields]
    assert names == [each.name for each in fields(Report)]
    said: dict[str, Any] = {
        name: number if name in {"at", "staleness"} else f"text {number}" for number, name in enumerate(names, 1)
    }
    (report,) = reports_of([pb.Report(**said)])
    assert asdict(report) == said
