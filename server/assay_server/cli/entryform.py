"""Registration entries as the command line has them: printed with SPIRE's labels, read from SPIRE's JSON."""

import json
from collections.abc import Mapping
from typing import Any, Literal, cast

from google.protobuf.json_format import ParseDict, ParseError

from assay.cli.output import go_time, print_labelled
from assay.config.unknown import unknown_reason
from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId
from assay.wire import spiffeid as wire
from assay_proto.governance.v1.registration_pb2 import Binding
from assay_proto.spire.api.types.entry_pb2 import Entry
from assay_server.cli.principalform import binding_rows

LABEL_WIDTH = 24

# SPIRE's file has some names of its own; what the server decides is passed over.
_RENAMED = {"entry_id": "id", "entryExpiry": "expires_at", "entry_expiry": "expires_at"}
_PASSED_OVER = ("revision_number", "created_at")
_IDS = ("spiffe_id", "parent_id")


def print_entry(entry: Entry, binding: Binding | None = None, *, err: bool = False) -> None:
    """All there is to say about an entry, which may be a principal's binding, and an empty line."""
    rows = _rows(entry) + (binding_rows(binding) if binding is not None else [])
    print_labelled(rows, LABEL_WIDTH, err=err)


def parse_entries(text: str) -> list[Entry]:
    """Entries from `{"entries": [...]}`.

    Raises:
        InvalidArgumentError: not JSON, a key nobody knows, a value of the wrong kind or an ID that is none.
    """
    try:
        document: object = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidArgumentError(f"entries are not valid JSON: line {error.lineno}: {error.msg}") from None
    except (ValueError, RecursionError):
        raise InvalidArgumentError("entries are nested too deeply or have a number that is too long") from None
    entries = cast("Mapping[str, object]", document).get("entries") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise InvalidArgumentError('the file has no list "entries"', hint='write {"entries": [{"spiffe_id": ...}]}')
    return [_parse(index, one) for index, one in enumerate(cast("list[object]", entries))]


def _parse(index: int, value: object) -> Entry:
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"entries[{index}] is not an object")
    given = cast("dict[str, Any]", value)
    known = {field.name for field in Entry.DESCRIPTOR.fields} | _RENAMED.keys() | set(_PASSED_OVER)
    for key in given.keys() - known:
        raise InvalidArgumentError(f"entries[{index}].{key}: {unknown_reason(key, known)}")
    fields = {_RENAMED.get(key, key): item for key, item in given.items() if key not in _PASSED_OVER}
    try:
        spiffe_id, parent_id = (SpiffeId.parse(str(fields.pop(key, ""))) for key in _IDS)
        entry = ParseDict(fields, Entry(spiffe_id=wire.to_proto(spiffe_id), parent_id=wire.to_proto(parent_id)))
    except (ParseError, InvalidArgumentError) as error:
        raise InvalidArgumentError(f"entries[{index}]: {error}") from None
    return entry


def _rows(entry: Entry) -> list[tuple[str, object]]:
    always: list[tuple[str, object]] = [
        ("Entry ID", entry.id or "(none)"),
        ("SPIFFE ID", _id(entry, "spiffe_id")),
        ("Parent ID", _id(entry, "parent_id")),
        ("Revision", entry.revision_number),
        *([("Downstream", "true")] if entry.downstream else []),
        ("X509-SVID TTL", entry.x509_svid_ttl or "default"),
        ("JWT-SVID TTL", entry.jwt_svid_ttl or "default"),
    ]
    return [*always, *((label, value) for label, values in _lists(entry) for value in values)]


def _lists(entry: Entry) -> list[tuple[str, list[object]]]:
    """What may be there once, several times or not at all."""
    more = entry.additional_attributes
    return [
        ("Expiration time", [go_time(entry.expires_at)] if entry.expires_at else []),
        ("Selector", [f"{one.type}:{one.value}" for one in entry.selectors]),
        ("FederatesWith", list(entry.federates_with)),
        ("DNS name", list(entry.dns_names)),
        ("Admin", _flag(entry.admin)),
        ("StoreSvid", _flag(entry.store_svid)),
        ("Hint", [entry.hint] if entry.hint else []),
        ("DisableX509SvidPrefetch", _flag(more.disable_x509_svid_prefetch)),
        ("JwtSvidIncludeJti", _flag(more.jwt_svid_include_jti)),
    ]


def _flag(value: bool) -> list[object]:
    return ["true"] if value else []


def _id(entry: Entry, field: Literal["spiffe_id", "parent_id"]) -> str:
    return str(wire.from_proto(getattr(entry, field))) if entry.HasField(field) else ""
