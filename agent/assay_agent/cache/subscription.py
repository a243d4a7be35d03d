"""Who follows the cache: streams with the same selectors share one group, its matches and its view."""

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from assay.entry import Entry
from assay.errors import UnavailableError
from assay.selector import Selector
from assay_agent.cache.view import WorkloadView

# How long SVIDs that are being signed hold back an answer, in seconds: longer than signing takes.
PATIENCE = 5.0


class Group:
    """Everyone with one set of selectors. The view is made when somebody looks, so changes in a row cost one."""

    def __init__(
        self,
        selectors: frozenset[Selector],
        entries: Iterable[Entry],
        build: Callable[[Iterable[Entry]], WorkloadView],
    ) -> None:
        self.selectors = selectors
        self.entries = {entry.id: entry for entry in entries}
        self.followers: set[Subscription] = set()
        self._signed = 0
        self._build = build
        self._stale = True
        self._view: WorkloadView | None = None

    @property
    def view(self) -> WorkloadView:
        """The view now: the same object as before if it says the same."""
        if self._view is None:
            self._view = self._build(self.entries.values())
        elif self._stale:
            made = self._build(self.entries.values())
            self._view = self._view if made.same_as(self._view) else made
        self._stale = False
        return self._view

    @property
    def shared(self) -> list[str]:
        """IDs of those of its entries whose SVID is the same for all copies of a workload."""
        return [entry.id for entry in self.entries.values() if not entry.instance_from]

    def join(self, follower: "Subscription") -> None:
        """Tell this one of changes from now on."""
        self.followers.add(follower)
        self._signed += follower.signed

    def leave(self, follower: "Subscription") -> None:
        """Tell it no more."""
        self.followers.remove(follower)
        self._signed -= follower.signed

    @property
    def wanting(self) -> bool:
        """Whether a follower needs the SVIDs."""
        return self._signed > 0

    def touch(self) -> None:
        """Something that concerns the group changed."""
        self._stale = True
        for follower in self.followers:
            follower.wake()


class Subscription:
    """An async iterator of views: the present one first, then one for each time it has changed since the last.

    A reader that is slow finds the newest view, never a queue. Use as a context manager, or `close`. With `signed` the
    SVIDs are what the reader wants: an answer that would be the first, or empty, waits for those being signed.

    Raises (from iteration):
        UnavailableError: entries match and after `patience` seconds none has an SVID, or there is no bundle.
    """

    def __init__(self, group: Group, leave: Callable[["Subscription"], None], *, signed: bool, patience: float) -> None:
        self.group = group
        self.signed = signed
        self._leave = leave
        self._patience = patience
        self._woken = asyncio.Event()
        self._seen: WorkloadView | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WorkloadView:
        await self.wait_changed()
        if self._held:
            await self._wait_signed()
        self._seen = self.group.view
        return self._seen

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave; may be called again."""
        self._leave(self)

    def wake(self) -> None:
        """The group's view may have changed."""
        self._woken.set()

    @property
    def changed(self) -> bool:
        """Whether the view is another than the one that was taken last."""
        return self.group.view is not self._seen

    async def wait_changed(self) -> None:
        """Return when it is; the view is still to be taken."""
        while not self.changed:
            self._woken.clear()
            await self._woken.wait()

    @property
    def _held(self) -> bool:
        view = self.group.view
        return self.signed and bool(view.pending) and (self._seen is None or not view.identities)

    async def _wait_signed(self) -> None:
        try:
            async with asyncio.timeout(self._patience):
                while self._held:
                    self._woken.clear()
                    await self._woken.wait()
        except TimeoutError:
            # One entry that cannot be signed must not keep the caller's others from it.
            if not self.group.view.identities:
                raise UnavailableError("SVID is not signed yet", hint="is the server reachable?") from None
