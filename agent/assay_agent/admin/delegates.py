"""Who may ask for the identities of other workloads."""

from collections.abc import Set as AbstractSet

import structlog

from assay.errors import PermissionDeniedError, UnavailableError
from assay.rpc.method import Context
from assay.spiffeid import SpiffeId
from assay_agent.cache import Cache
from assay_agent.workload.caller import Caller, Callers

log = structlog.get_logger(__name__)


class Delegates:
    """Admits callers that have an entry for one of the `authorized` SPIFFE IDs; words and codes are SPIRE's.

    Those may be others later: what counts is what they are when somebody calls, or is to be told something.
    """

    def __init__(self, cache: Cache, callers: Callers, authorized: AbstractSet[SpiffeId]) -> None:
        self._cache = cache
        self._callers = callers
        self._authorized = authorized

    async def admit(self, context: Context, method: str) -> Caller:
        """The caller, once it is attested and `check` has nothing against it.

        Raises:
            UnavailableError: the agent has not synced yet, or the caller could not be attested.
            PermissionDeniedError: it is no delegate.
        """
        if not self._cache.synced:
            raise UnavailableError("agent has not synced with the server yet")
        caller = await self._callers.attest(context, method)
        delegate = self.check(caller, method)
        log.debug("Caller authorized as delegate", delegate_id=str(delegate), pid=caller.peer.pid, method=method)
        return caller

    def check(self, caller: Caller, method: str) -> SpiffeId:
        """By which SPIFFE ID the caller is a delegate now: entries come and go while a stream is open.

        Raises:
            PermissionDeniedError: by none.
        """
        entries = self._cache.entitled(caller.selectors)
        if not entries:
            log.error("No identity issued", method=method, pid=caller.peer.pid)
            raise PermissionDeniedError("no identity issued")
        shared = (entry.spiffe_id for entry in entries if not entry.instance_from)
        delegate = next((spiffe_id for spiffe_id in shared if spiffe_id in self._authorized), None)
        if delegate is None:
            log.error(
                "Permission denied; caller not configured as an authorized delegate.",
                method=method,
                pid=caller.peer.pid,
                num_registered_entries=len(entries),
                default_id=str(entries[0].spiffe_id),
            )
            raise PermissionDeniedError("caller not configured as an authorized delegate")
        return delegate
