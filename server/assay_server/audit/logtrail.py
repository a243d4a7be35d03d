"""SPIRE's audit lines, in the ordinary log."""

from collections.abc import Callable, Collection
from typing import Self

import structlog

from assay.rpc.status import StatusCode
from assay.spiffeid import SpiffeId
from assay.telemetry.names import method_name, service_name, status_name
from assay_server.audit.record import Fields, LocalCaller, Outcome, Record, RemoteCaller

log = structlog.get_logger(__name__)

# SPIRE says nothing of these when they go well.
_SILENT = "/spire.api.server.debug.v1.Debug/"

# What told that a caller is what it was admitted as; admins by configuration are told apart.
_VIA = {"local": "transport", "admin": "entries", "downstream": "entries", "agent": "datastore"}
_NUMBERS = {status_name(code.name): code.value for code in StatusCode}


class _Code(int):
    """A status as Go's library has it written: its name in text, its number in JSON."""

    name: str

    def __new__(cls, name: str) -> Self:
        code = super().__new__(cls, _NUMBERS[name])
        code.name = name
        return code

    def __str__(self) -> str:
        return self.name


class LogTrail:
    """Writes `API accessed` lines for callers that were admitted; refused ones have a line of their own already.

    `admin_ids` tells the administrators by configuration as they are at that moment.
    """

    def __init__(self, admin_ids: Callable[[], Collection[SpiffeId]] = frozenset) -> None:
        self._admin_ids = admin_ids

    def write(self, record: Record) -> None:
        """Write one."""
        if not record.authorized_as or (record.outcome.ok and record.method.startswith(_SILENT)):
            return
        log.info(
            "API accessed",
            subsystem_name="api",
            type="audit",
            service=service_name(record.method),
            method=method_name(record.method),
            request_id=record.request_id,
            authorized_as=record.authorized_as,
            authorized_via=self._via(record),
            **_caller(record),
            **record.object,
            **_status(record.outcome),
        )

    def _via(self, record: Record) -> str:
        caller = record.caller
        if record.authorized_as == "admin" and isinstance(caller, RemoteCaller):
            return "config" if caller.spiffe_id in map(str, self._admin_ids()) else "entries"
        return _VIA.get(record.authorized_as, "")


def _caller(record: Record) -> Fields:
    caller = record.caller
    if isinstance(caller, LocalCaller):
        path = {"caller_path": caller.path} if caller.path else {}
        return {"caller_uid": caller.uid, "caller_gid": caller.gid, **path}
    spiffe_id = {"caller_id": caller.spiffe_id} if caller.spiffe_id else {}
    return {"caller_addr": caller.address, **spiffe_id}


def _status(outcome: Outcome) -> Fields:
    if outcome.ok:
        return {"status": "success"}
    return {"status": "error", "status_code": _Code(outcome.code), "status_message": outcome.message}
