"""Who follows the bundles themselves, whatever entries there are."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from assay.bundle import Bundle
from assay.spiffeid import TrustDomain


class BundleFollowers:
    """Hands out subscriptions to `bundles`, a mapping that changes; `wake` tells that it has."""

    def __init__(self, bundles: Mapping[TrustDomain, Bundle]) -> None:
        self._bundles = bundles
        self._following: set[BundleSubscription] = set()

    def follow(self) -> "BundleSubscription":
        """One more."""
        subscription = BundleSubscription(self._bundles, self._following.discard)
        self._following.add(subscription)
        return subscription

    def wake(self) -> None:
        """Something has changed."""
        for subscription in self._following:
            subscription.wake()


class BundleSubscription:
    """An async iterator of all bundles by trust domain: as they are, then whenever one has changed, come or gone.

    A reader that is slow finds the newest, never a queue. Use as a context manager, or `close`.
    """

    def __init__(self, bundles: Mapping[TrustDomain, Bundle], leave: Callable[["BundleSubscription"], None]) -> None:
        self._bundles = bundles
        self._leave = leave
        self._woken = asyncio.Event()
        self._woken.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Sequence[Bundle]:
        await self._woken.wait()
        self._woken.clear()
        return [self._bundles[name] for name in sorted(self._bundles)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave; may be called again."""
        self._leave(self)

    @property
    def changed(self) -> bool:
        """Whether there is something that was not taken yet."""
        return self._woken.is_set()

    async def wait_changed(self) -> None:
        """Return when there is; it is still to be taken."""
        await self._woken.wait()

    def wake(self) -> None:
        """The bundles have changed."""
        self._woken.set()
