"""Reports as they come over the wire."""

from dataclasses import asdict, fields
from typing import Any

from assay.spiffeid import SpiffeId
from assay.testing.clock import FakeClock
from assay_proto.status.v1 import status_pb2 as pb
from assay_server.api.report_values import reports_of, taking
from assay_server.datastore.base import Page, Store
from assay_server.governance.intake import Intake
from assay_server.model.governed.report import Report


def test_every_field_of_a_report_is_read_as_it_was_said() -> None:
    names = [each.name for each in pb.Report.DESCRIPTOR.fields]
    assert names == [each.name for each in fields(Report)]
    said: dict[str, Any] = {
        name: number if name in {"at", "staleness"} else f"text {number}" for number, name in enumerate(names, 1)
    }
    (report,) = reports_of([pb.Report(**said)])
    assert asdict(report) == said


async def test_reports_are_written_down_under_the_verifiers_name(store: Store, clock: FakeClock) -> None:
    take = taking(Intake(store, clock))
    assert await take("r1", SpiffeId.parse("spiffe://example.org/crm"), 1, [pb.Report(kind="tool.use")] * 3) == 3
    events, _ = await store.read(lambda tx: tx.events.find(Page()))
    assert {(one.actor, one.details["cause"]) for one in events} == {("spiffe://example.org/crm", "report_malformed")}
