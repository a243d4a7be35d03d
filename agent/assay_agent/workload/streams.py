"""The streaming RPCs: a response now and whenever it has changed, for as long as the caller lives and is entitled."""

from collections.abc import AsyncIterable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import structlog

from assay.clock import Clock
from assay.entry import Entry
from assay.errors import AssayError, Kind, PermissionDeniedError, UnavailableError
from assay.workloadapi.wire import Context
from assay_agent.cache import WorkloadView
from assay_agent.workload.caller import Caller

log = structlog.get_logger(__name__)

SERVICE = "WorkloadAPI"


@dataclass(frozen=True, slots=True)
class Streamed:
    """What one RPC sends of a view, and to whom; `signed` if it is about SVIDs."""

    method: str
    reply: Callable[[WorkloadView], bytes]
    entitled: Callable[[WorkloadView], bool]
    signed: bool = False


class Views(AsyncIterable[WorkloadView], AbstractContextManager[object], Protocol):
    """What a caller follows, until the context ends."""


async def follow(views: Views, clock: Clock, caller: Caller, what: Streamed, context: Context) -> None:
    """Send until the caller goes.

    Writing waits while the caller does not read, and the cache keeps no queue: who is slow gets the newest. Responses
    equal to the last are left out.

    Raises:
        AssayError: the caller has died, or is entitled to nothing any more.
    """
    sent: bytes | None = None
    with views:
        async for view in views:
            if not what.entitled(view):
                raise no_identity(caller, what.method)
            reply = what.reply(view)
            if reply == sent:
                continue
            caller.check_alive()
            await context.write(reply)
            sent = reply
            if what.signed and not caller.quiet:
                _log_svids(view, caller, clock.now().timestamp())


def no_identity(caller: Caller, method: str) -> PermissionDeniedError:
    """The refusal of a caller that no entry is for."""
    if not caller.quiet:
        shown = {"selectors": caller.loggable} if caller.loggable else {}
        log.error("No identity issued", method=method, pid=caller.peer.pid, registered=False, service=SERVICE, **shown)
    caller.refused()
    return PermissionDeniedError("no identity issued")


def passed_on(error: AssayError, entry: Entry, what: str) -> AssayError:
    """What the caller is told of the server's refusal of a token.

    A profile that the operator has switched off stays Unimplemented: clients must not retry that. So does, of a
    principal's entry, what a task is lacking for.
    """
    if error.kind is Kind.UNIMPLEMENTED or (error.kind is Kind.PERMISSION_DENIED and entry.principal):
        return error
    return UnavailableError(f"could not fetch {what}: {error.message}")


def _log_svids(view: WorkloadView, caller: Caller, now: float) -> None:
    for identity in view.identities:
        log.debug(
            "Fetched X.509 SVID",
            count=len(view.identities),
            method="FetchX509SVID",
            pid=caller.peer.pid,
            registered=True,
            service=SERVICE,
            spiffe_id=str(identity.entry.spiffe_id),
            ttl=identity.svid.not_after - now,
        )
