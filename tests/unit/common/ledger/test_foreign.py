# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""Exports for others: each record whole, in the form of CloudEvents and of OTLP's logs."""

import json
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from assay.ledger.foreign import CONVERTERS


def converted(kind: str, lines: list[bytes]) -> list[dict[str, Any]]:
    converter = CONVERTERS[kind]()
    return [*(made for line in lines for made in converter.line(json.loads(line))), *converter.rest()]


def test_each_record_is_a_cloud_event(lines: list[bytes]) -> None:
    events = converted("cloudevents", lines)
    assert len(events) == 10
    record = json.loads(lines[1])
    assert events[0] == {
        "specversion": "1.0", "id": record["hash"], "source": "spiffe://example.org", "type": "assay.ledger.decision",
        "subject": "dec_1", "time": "1970-01-01T00:16:41Z", "datacontenttype": "application/json", "data": record,
    }  # fmt: skip


def test_logs_are_what_a_collector_reads(ledger: Any) -> None:
    """By OpenTelemetry's own messages, which know no field that is not theirs."""
    batches = converted("otlp", ledger.lines(501, 1000))
    read = [ParseDict(one, ExportLogsServiceRequest()) for one in batches]
    logs = [one for batch in read for one in batch.resource_logs[0].scope_logs[0].log_records]
    assert [len(one.resource_logs[0].scope_logs[0].log_records) for one in read] == [500, 1]
    first = logs[0]
    assert (first.event_name, first.time_unix_nano) == ("assay.ledger.decision", 1001 * 10**9)
    attributes = {one.key: one.value for one in first.attributes}
    assert attributes["assay.task_id"].string_value == "tsk_1"
    assert attributes["assay.number"].int_value == 1
    assert {one.key: one.value.string_value for one in first.body.kvlist_value.values}["effect"] == "allow"
    resource = {one.key: one.value.string_value for one in read[0].resource_logs[0].resource.attributes}
    assert resource == {"service.name": "assay", "assay.trust_domain": "example.org"}


def test_a_trace_is_the_logs_own(ledger: Any) -> None:
    lines = ledger.lines(1, 1)
    record = json.loads(lines[1])
    record["details"] = {"trace_id": "0af7651916cd43dd8448eb211c80319c", "list": [True, None, {"a": 1.5}]}
    (batch,) = converted("otlp", [lines[0], json.dumps(record).encode()])
    log = batch["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    assert log["traceId"] == "0af7651916cd43dd8448eb211c80319c"
    inner = log["body"]["kvlistValue"]["values"][1]["value"]["arrayValue"]["values"]
    assert inner == [
        {"boolValue": True}, {}, {"kvlistValue": {"values": [{"key": "a", "value": {"doubleValue": 1.5}}]}},
    ]  # fmt: skip
