"""The workload's WIT-SVIDs with their keys, as the agent renews them."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from assay.backoff import Backoff
from assay.clock import Clock
from assay.errors import AssayError
from assay.spiffeid import SpiffeId
from assay.svid import WitSvid
from assay.workloadapi.address import Endpoint
from assay.workloadapi.client import Refused, WorkloadApiClient
from assay.workloadapi.errors import NoSuchIdentityError, SvidExpiredError
from assay.workloadapi.following import RETRY
from assay.workloadapi.pick import as_id, choose, no_such, wanted
from assay.workloadapi.source import WITHIN, Source
from assay.workloadapi.values import HintedWitSvid

WitUpdate: TypeAlias = tuple[HintedWitSvid, ...]


class WitSource(Source[WitUpdate]):
    """Follows `FetchWITSVID`. What other workloads present is verified with a WitBundleSource.

    Which identity `svid()` gives, and what happens when the agent goes away or withdraws it, is as with X509Source.
    Where the trust domain has no WIT-SVIDs the agent says UNIMPLEMENTED, and the source asks no more.

    Args:
        endpoint: where the Workload API is; None for what `SPIFFE_ENDPOINT_SOCKET` names.
        hint: what the operator says the identity is for.
        spiffe_id: the identity.
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
        within: float | None = WITHIN,
        clock: Clock | None = None,
        backoff: Backoff = RETRY,
    ) -> None:
        super().__init__(endpoint, within=within, clock=clock, backoff=backoff)
        self._hint, self._only = hint, as_id(spiffe_id)

    def svid(self) -> WitSvid:
        """The newest SVID of the chosen identity, with its key; raises as `X509Source.svid` does."""
        svids = self._current()
        chosen = choose(svids, self._hint, self._only)
        if chosen is None:
            raise self._no_such(svids)
        ended = datetime.fromtimestamp(chosen.svid.expires_at, UTC)
        if self._clock.now() > ended:
            raise SvidExpiredError(chosen.spiffe_id, ended, hint=str(self.status.error or ""))
        return chosen.svid

    def svids(self) -> tuple[HintedWitSvid, ...]:
        """All identities of the workload, the default one first; expired ones too. Raises as `svid` does."""
        return self._current()

    def _watch(self, client: WorkloadApiClient, on_malformed: Refused) -> AsyncGenerator[WitUpdate]:
        # All of them, for a hint may come with any; the one that is wanted is chosen here.
        return client.watch_wit(on_malformed=on_malformed)

    def _serves(self) -> bool:
        update = self.status.value
        return update is not None and choose(update, self._hint, self._only) is not None

    def _not_ready(self, error: AssayError | None) -> AssayError:
        update = self.status.value
        return super()._not_ready(error) if update is None else self._no_such(update)

    def _no_such(self, svids: WitUpdate) -> NoSuchIdentityError:
        return no_such(svids, wanted(self._hint, self._only, picked=False))
