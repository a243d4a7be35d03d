"""The sources of `assay.workloadapi`, each with a thread of its own."""

import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

from assay.backoff import Backoff
from assay.bundle import Bundle
from assay.clock import Clock
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import JwtSvid, WitSvid, X509Svid
from assay.workloadapi import bundlesource, jwtsource, witsource, x509source
from assay.workloadapi.address import Endpoint
from assay.workloadapi.blocking.background import Background
from assay.workloadapi.bundlesource import Bundles, BundleStream
from assay.workloadapi.errors import SourceClosedError
from assay.workloadapi.following import RETRY
from assay.workloadapi.jwtsource import ATTEMPT
from assay.workloadapi.source import WITHIN, Source
from assay.workloadapi.status import Status
from assay.workloadapi.values import HintedWitSvid, HintedX509Svid
from assay.workloadapi.witsource import WitUpdate
from assay.workloadapi.x509source import Picker, X509Update

V = TypeVar("V")


class BlockingSource(Generic[V]):
    """A context manager around a source that lives in a background thread; for any number of threads at once.

    In a child that was forked while it was open every method but `close` raises ForkedError. What is still open when
    the interpreter exits is closed then.
    """

    def __init__(self, source: Source[V]) -> None:
        self._inner = source
        self._background = Background()
        self._turn = threading.Lock()
        self._opened = False
        self._finalizer = weakref.finalize(self, self._background.stop)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> None:
        """Begin to follow, and wait until there is something to serve; raises as `Source.open` does."""
        self._background.check_process()
        with self._turn:
            if self._opened:
                raise SourceClosedError("source was opened before", hint="make a new one")
            self._opened = True
            self._background.start()
        try:
            self._background.run(self._inner.open)
        except BaseException:
            self._finalizer()
            raise

    def close(self) -> None:
        """End the stream, its connection and the thread. May be called again, and does nothing in a forked child."""
        if self._background.forked:
            return
        # Closed before it was opened, or by two threads at once.
        with suppress(SourceClosedError):
            self._background.run(self._inner.close)
        self._finalizer()

    @property
    def status(self) -> Status[V]:
        """How the source stands with its agent: one snapshot."""
        return self._here.status

    @property
    def version(self) -> int:
        """Grows by one with every change of what is served, withdrawal included."""
        return self._here.version

    def changed(self, since: int, *, within: float | None = None) -> int:
        """Wait until `version` is beyond `since`; returns the version, still `since` if that many seconds are over.

        Raises:
            SourceClosedError: the source is closed, or was while this waited.
            InvalidArgumentError, UnimplementedError: there will be no change, for the source has given up.
        """
        return self._background.run(lambda: self._inner.changed(since, within=within))

    def age(self, now: datetime) -> float:
        """Seconds since the last good message. While nothing changes the agent sends none: see `Status.stale_since`.

        Raises:
            SourceClosedError: there was none yet.
        """
        return self._here.age(now)

    @property
    def _here(self) -> Source[V]:
        self._background.check_process()
        return self._inner


class X509Source(BlockingSource[X509Update]):
    """As `assay.workloadapi.X509Source`, which says what the arguments are."""

    def __init__(
        self,
        endpoint: Endpoint | Path | str | None = None,
        *,
        hint: str | None = None,
        spiffe_id: SpiffeId | str | None = None,
        pick: Picker | None = None,
        within: float | None = WITHIN,
        clock: Clock | None = None,
        backoff: Backoff = RETRY,
    ) -> None:
        self._source = x509source.X509Source(
            endpoint, hint=hint, spiffe_id=spiffe_id, pick=pick, within=within, clock=clock, backoff=backoff
        )
        super().__init__(self._source)

    def svid(self) -> X509Svid:
        """The newest SVID of the chosen identity, with its key; raises as the other `svid` does."""
        self._background.check_process()
        return self._source.svid()

    def svids(self) -> tuple[HintedX509Svid, ...]:
        """All identities of the workload, the default one first; expired ones too."""
        self._background.check_process()
        return self._source.svids()

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        """X.509 authorities by trust domain, federated ones too; empty once the agent has withdrawn them."""
        self._background.check_process()
        return self._source.bundles()


class _BlockingBundles(BlockingSource[Bundles]):
    """A source of bundles."""

    def __init__(self, source: BundleStream) -> None:
        super().__init__(source)
        self._bundles = source

    def bundles(self) -> Bundles:
        """Authorities by trust domain, federated ones too; empty once the agent has withdrawn them."""
        self._background.check_process()
        return self._bundles.bundles()


class X509BundleSource(_BlockingBundles):
    """As `assay.workloadapi.X509BundleSource`."""

    def __init__(
        self,
        endpoint: Endpoint | Path | str | None = None,
        *,
        within: float | None = WITHIN,
        clock: Clock | None = None,
        backoff: Backoff = RETRY,
    ) -> None:
        super().__init__(bundlesource.X509BundleSource(endpoint, within=within, clock=clock, backoff=backoff))


class JwtBundleSource(_BlockingBundles):
    """As `assay.workloadapi.JwtBundleSource`."""

    def __init__(
        self,
        endpoint: Endpoint | Path | str | None = None,
        *,
        within: float | None = WITHIN,
        clock: Clock | None = None,
        backoff: Backoff = RETRY,
    ) -> None:
        super().__init__(bundlesource.JwtBundleSource(endpoint, within=within, clock=clock, backoff=backoff))


class WitBundleSource(_BlockingBundles):
    """As `assay.workloadapi.WitBundleSource`."""

    def __init__(
        self,
        endpoint: Endpoint | Path | str | None = None,
        *,
        within: float | None = WITHIN,
        clock: Clock | None = None,
        backoff: Backoff = RETRY,
    ) -> None:
        super().__init__(bundlesource.WitBundleSource(endpoint, within=within, clock=clock, backoff=backoff))


class WitSource(BlockingSource[WitUpdate]):
    """As `assay.workloadapi.WitSource`, which says what the arguments are."""

    def __init__(
        self,
        endpoint: Endpoint | Path | str | None = None,
        *,
        hint: str | None = None,
        spiffe_id: SpiffeId | str | None = None,
        within: float | None = WITHIN,
        clock: Clock | None = None,
        backoff: Backoff = RETRY,
    ) -> None:
        self._source = witsource.WitSource(
            endpoint, hint=hint, spiffe_id=spiffe_id, within=within, clock=clock, backoff=backoff
        )
        super().__init__(self._source)

    def svid(self) -> WitSvid:
        """The newest SVID of the chosen identity, with its key; raises as the other `svid` does."""
        self._background.check_process()
        return self._source.svid()

    def svids(self) -> tuple[HintedWitSvid, ...]:
        """All identities of the workload, the default one first; expired ones too."""
        self._background.check_process()
        return self._source.svids()


class JwtSource(_BlockingBundles):
    """As `assay.workloadapi.JwtSource`."""

    def __init__(
        self,
        endpoint: Endpoint | Path | str | None = None,
        *,
        within: float | None = WITHIN,
        clock: Clock | None = None,
        backoff: Backoff = RETRY,
    ) -> None:
        self._source = jwtsource.JwtSource(endpoint, within=within, clock=clock, backoff=backoff)
        super().__init__(self._source)

    def fetch(
        self,
        audience: str | Sequence[str],
        spiffe_id: SpiffeId | str | None = None,
        *,
        hint: str | None = None,
        within: float | None = ATTEMPT,
    ) -> JwtSvid:
        """A token for that audience, or for all of several; raises as the other `fetch` does."""
        return self._background.run(lambda: self._source.fetch(audience, spiffe_id, hint=hint, within=within))
