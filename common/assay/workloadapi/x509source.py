"""The workload's X.509-SVIDs, and the bundles to verify other workloads' with, as the agent renews them."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from assay.backoff import Backoff
from assay.bundle import Bundle, X509Authority
from assay.clock import Clock
from assay.errors import AssayError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import X509Svid
from assay.workloadapi.address import Endpoint
from assay.workloadapi.client import Refused, WorkloadApiClient
from assay.workloadapi.errors import NoSuchIdentityError, SvidExpiredError
from assay.workloadapi.following import RETRY, converted
from assay.workloadapi.pick import as_id, choose, no_such, wanted
from assay.workloadapi.source import WITHIN, Source
from assay.workloadapi.values import HintedX509Svid, X509Context

Picker: TypeAlias = Callable[[Sequence[HintedX509Svid]], HintedX509Svid | None]
"""Chooses among identities in the agent's order, the default one first; None if the wanted one is not there."""


@dataclass(frozen=True, slots=True)
class X509Update:
    """One message's contents: the identities, the default one first, and bundles of X.509 authorities alone."""

    svids: tuple[HintedX509Svid, ...]
    bundles: Mapping[TrustDomain, Bundle]


class X509Source(Source[X509Update]):
    """Follows `FetchX509SVID`.

    Which identity `svid()` gives: the agent's default one, or the first with that `hint`, that `spiffe_id`, or both,
    or the one that `pick` chooses. Opening waits until it is there.

    When the agent goes away, what it sent last is kept; `status` and `age` tell of it. When it says that
    the workload has no identity (PERMISSION_DENIED), SVIDs and bundles are dropped at once (Workload API, section
    5.2.1): `svid()` raises, `bundles()` is empty. It is a `BundleSource` of `assay.verify`.

    Args:
        endpoint: where the Workload API is; None for what `SPIFFE_ENDPOINT_SOCKET` names.
        hint: what the operator says the identity is for.
        spiffe_id: the identity.
        pick: chooses among all of them, in the agent's order; None if the wanted one is not there.
        within: seconds to wait for the first update, None for as long as it takes.
        clock: what time it is; the machine's if None.
        backoff: delays between attempts to reach the agent.

    Raises (when it is made):
        InvalidArgumentError: the endpoint or the SPIFFE ID is none.
    """

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
        super().__init__(endpoint, within=within, clock=clock, backoff=backoff)
        only = as_id(spiffe_id)
        self._wanted = wanted(hint, only, picked=pick is not None)
        self._pick: Picker = pick or partial(choose, hint=hint, spiffe_id=only)

    def svid(self) -> X509Svid:
        """The newest SVID of the chosen identity, with its key.

        Raises:
            SvidExpiredError: the agent has not renewed it in time.
            NoSuchIdentityError: the workload has identities, and this one is not among them now.
            NoIdentityError: the agent has withdrawn all of them.
            SourceClosedError: the source is not open.
        """
        svids = self._current().svids
        chosen = self._pick(svids)
        if chosen is None:
            raise self._no_such(svids)
        ended = datetime.fromtimestamp(chosen.svid.not_after, UTC)
        if self._clock.now() > ended:
            raise SvidExpiredError(chosen.spiffe_id, ended, hint=str(self.status.error or ""))
        return chosen.svid

    def svids(self) -> tuple[HintedX509Svid, ...]:
        """All identities of the workload, the default one first; expired ones too. Raises as `svid` does."""
        return self._current().svids

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        """X.509 authorities by trust domain, federated ones too; empty once the agent has withdrawn them.

        Raises:
            SourceClosedError: the source is not open.
        """
        return self._current_or(_NOTHING).bundles

    def _watch(self, client: WorkloadApiClient, on_malformed: Refused) -> AsyncGenerator[X509Update]:
        return converted(client.watch_x509(on_malformed=on_malformed), _update, on_malformed)

    def _serves(self) -> bool:
        update = self.status.value
        return update is not None and self._pick(update.svids) is not None

    def _not_ready(self, error: AssayError | None) -> AssayError:
        update = self.status.value
        return super()._not_ready(error) if update is None else self._no_such(update.svids)

    def _no_such(self, svids: tuple[HintedX509Svid, ...]) -> NoSuchIdentityError:
        return no_such(svids, self._wanted)


_NOTHING = X509Update((), MappingProxyType({}))


def x509_bundles(bundles: Mapping[TrustDomain, tuple[bytes, ...]]) -> Mapping[TrustDomain, Bundle]:
    """As values of X.509 authorities alone: they verify no JWT-SVID (Workload API, section 5.2.1)."""
    made = {name: Bundle(name, tuple(map(X509Authority, ders))) for name, ders in bundles.items()}
    return MappingProxyType(made)


def _update(context: X509Context) -> X509Update:
    return X509Update(context.svids, x509_bundles(context.bundles))
