"""Exports for others' tools: CloudEvents (1.0, JSON format) and OTLP logs (JSON), one object a line.

Whole records are in both; they are proved by exports of our own form, to which a record's hash leads.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Protocol, cast

from assay.ledger.export import checkpoint_of, header_of

_BATCH = 500
_INFO = 9  # OpenTelemetry's severity number
_SCOPE = "assay.ledger"
_SCALARS: Mapping[type, str] = MappingProxyType({bool: "boolValue", float: "doubleValue", str: "stringValue"})


class Converter(Protocol):
    """Takes an export's lines in their order."""

    def line(self, members: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        """What is to be written now."""
        ...

    def rest(self) -> Iterable[dict[str, Any]]:
        """What is left to be written at the end."""
        ...


class CloudEvents:
    """Each record is an event. Its `id` is the record's hash, the `source` the trust domain's ledger."""

    def __init__(self) -> None:
        self._source = ""

    def line(self, members: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        """A record's event; nothing for the header and checkpoints."""
        if not self._source:
            self._source = f"spiffe://{header_of(members).trust_domain}"
        elif checkpoint_of(members) is None:
            yield {
                "specversion": "1.0",
                "id": members["hash"],
                "source": self._source,
                "type": f"assay.ledger.{members['type']}",
                "subject": members["subject"],
                "time": datetime.fromtimestamp(members["at"], UTC).isoformat().replace("+00:00", "Z"),
                "datacontenttype": "application/json",
                "data": dict(members),
            }

    def rest(self) -> Iterable[dict[str, Any]]:
        """Nothing."""
        return ()


class OtlpLogs:
    """Batches of log records, each as the body of a request to `/v1/logs`."""

    def __init__(self) -> None:
        self._trust_domain = ""
        self._waiting: list[dict[str, Any]] = []

    def line(self, members: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        """A batch when one is full."""
        if not self._trust_domain:
            self._trust_domain = header_of(members).trust_domain
        elif checkpoint_of(members) is None:
            self._waiting.append(_log_record(members))
        return self.rest() if len(self._waiting) >= _BATCH else ()

    def rest(self) -> Iterable[dict[str, Any]]:
        """The last batch, if there is any."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return ()
        resource = {"service.name": "assay", "assay.trust_domain": self._trust_domain}
        logs = {"scope": {"name": _SCOPE}, "logRecords": waiting}
        return ({"resourceLogs": [{"resource": {"attributes": _attributes(resource)}, "scopeLogs": [logs]}]},)


CONVERTERS: Mapping[str, Callable[[], Converter]] = MappingProxyType({"cloudevents": CloudEvents, "otlp": OtlpLogs})
"""By the name that `assay ledger export --format` knows."""


def _log_record(record: Mapping[str, Any]) -> dict[str, Any]:
    at = f"{record['at']}000000000"
    beside = {f"assay.{name}": value for name, value in record.items() if name not in {"at", "type", "details"}}
    made: dict[str, Any] = {
        "timeUnixNano": at,
        "observedTimeUnixNano": at,
        "severityNumber": _INFO,
        "severityText": "INFO",
        "eventName": f"assay.ledger.{record['type']}",
        "body": _value(record["details"]),
        "attributes": _attributes(beside),
    }
    trace = record["details"].get("trace_id")
    return made | ({"traceId": trace} if trace else {})


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in values.items()]


def _value(value: object) -> dict[str, Any]:
    """A value as protobuf's JSON says AnyValue: 64-bit integers are texts."""
    if isinstance(value, dict):
        return {"kvlistValue": {"values": _attributes(cast("dict[str, Any]", value))}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(each) for each in cast("list[object]", value)]}}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"intValue": str(value)}
    name = next((name for kind, name in _SCALARS.items() if isinstance(value, kind)), "")
    return {name: value} if name else {}
