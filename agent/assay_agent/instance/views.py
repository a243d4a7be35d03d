"""What a process follows: the view of all workloads with its selectors, and in it the SVIDs that are its own."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import TracebackType
from typing import Protocol, Self

import structlog

from assay.entry import Entry
from assay.errors import AssayError, UnavailableError
from assay.selector import Selector
from assay.transport.peer import UnixPeer
from assay.waiting import first_of
from assay_agent.cache import Identity, Subscription, WorkloadView
from assay_agent.cache.hints import repeated_hints
from assay_agent.instance.known import Instance
from assay_agent.instance.svids import InstanceSvids
from assay_agent.instance.values import InstanceValues

log = structlog.get_logger(__name__)


class Attested(Protocol):
    """A process and what it was attested to be: a Caller of the Workload API."""

    @property
    def peer(self) -> UnixPeer:
        """The process."""
        ...

    @property
    def selectors(self) -> frozenset[Selector]:
        """What was found out about it."""
        ...


class InstanceViews:
    """An async iterator of views, as a Subscription is one, for one process.

    Until an entry that names instances matches, it is the subscription. Use as a context manager, or `close`.

    Raises (from iteration):
        UnavailableError: as a Subscription does.
    """

    __slots__ = ("_given", "_make", "_own", "_shared")  # there is one for each stream

    def __init__(self, shared: Subscription, make: Callable[[Subscription, WorkloadView | None], "OwnViews"]) -> None:
        self._shared = shared
        self._make = make
        self._given: WorkloadView | None = None
        self._own: OwnViews | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WorkloadView:
        if self._own is None:
            view = await anext(self._shared)
            if not view.instanced:
                self._given = view
                return view
            self._own = self._make(self._shared, self._given)
            return await self._own.joined(view)
        return await self._own.next()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave; may be called again."""
        if self._own is not None:
            self._own.close()
        self._shared.close()


class OwnViews:
    """The views of a process that is, or was, some entry's instance; `given` is the last one it had before that."""

    def __init__(
        self,
        shared: Subscription,
        given: WorkloadView | None,
        svids: InstanceSvids,
        values: InstanceValues,
        who: Attested,
        patience: float,
    ) -> None:
        self._shared = shared
        self._given = given
        self._svids = svids
        self._values = values
        self._who = who
        self._patience = patience
        self._view: WorkloadView | None = None
        self._told: dict[str, str] = {}
        self._held: dict[str, Instance] = {}
        self._woken = asyncio.Event()

    async def next(self) -> WorkloadView:
        """The view, when it is another than the last."""
        while True:
            last = self._given
            view = await self.joined(await self._next())
            if last is None or not view.same_as(last):
                return view

    async def joined(self, view: WorkloadView) -> WorkloadView:
        """That view of all, and in it what is the process's own."""
        self._view = view
        await self._hold(view)
        while not await self._wait_settled():
            self._view = view = await anext(self._shared)
            await self._hold(view)
        self._given = _joined(view, [one.identity for one in self._held.values() if one.identity is not None])
        return self._given

    def close(self) -> None:
        """Follow no instance any more; may be called again."""
        self._release(self._held)

    async def _next(self) -> WorkloadView:
        """The shared view when it has changed, or an instance's SVID has."""
        if self._view is not None and self._view.instanced:
            if not (self._shared.changed or self._woken.is_set()):
                await first_of(self._shared.wait_changed(), self._woken.wait())
            self._woken.clear()
            if not self._shared.changed:
                return self._view
        return await anext(self._shared)

    async def _hold(self, view: WorkloadView) -> None:
        """Follow the instances of these entries, and no others."""
        self._release([entry_id for entry_id in self._held if all(entry_id != one.id for one in view.instanced)])
        for entry in view.instanced:
            value = await self._value(entry)
            if not value:
                continue
            instance = self._svids.follow(entry, value, self._who.peer, self._woken.set)
            if (old := self._held.get(entry.id)) is not None and old is not instance:
                self._svids.leave(old, self._woken.set)
            self._held[entry.id] = instance

    async def _value(self, entry: Entry) -> str:
        """What tells this process apart; nothing if that cannot be told."""
        kind = entry.instance_from
        if kind not in self._told:
            try:
                self._told[kind] = await self._values.of(self._who.peer, self._who.selectors, kind)
            except AssayError as error:
                log.warning("Instance is not known", pid=self._who.peer.pid, entry=entry.id, error=str(error))
                return ""
        return self._told[kind]

    def _release(self, entry_ids: Iterable[str]) -> None:
        for entry_id in tuple(entry_ids):
            self._svids.leave(self._held.pop(entry_id), self._woken.set)

    async def _wait_settled(self) -> bool:
        """An answer that would be the first, or empty, waits for what is being signed; False if the view changed."""
        try:
            async with asyncio.timeout(self._patience):
                while self._lacking:
                    if self._shared.changed:
                        return False
                    self._woken.clear()
                    await first_of(self._shared.wait_changed(), self._woken.wait())
        except TimeoutError:
            if not self._has_any:
                raise UnavailableError("SVID is not signed yet", hint="is the server reachable?") from None
        return True

    @property
    def _lacking(self) -> bool:
        unsettled = any(not one.settled for one in self._held.values())
        return unsettled and (self._given is None or not self._has_any)

    @property
    def _has_any(self) -> bool:
        shared = self._view is not None and bool(self._view.identities)
        return shared or any(one.identity is not None for one in self._held.values())


def _joined(view: WorkloadView, own: Iterable[Identity]) -> WorkloadView:
    everything = sorted((*view.all_identities, *own), key=lambda identity: identity.entry.id)
    had = {identity.entry.id for identity in everything}
    dropped = {entry.id for entry in repeated_hints(identity.entry for identity in everything)}
    return replace(
        view,
        identities=tuple(one for one in everything if one.entry.id not in dropped),
        repeated=tuple(one for one in everything if one.entry.id in dropped),
        instanced=tuple(entry for entry in view.instanced if entry.id not in had),
    )
