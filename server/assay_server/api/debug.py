"""spire.api.server.debug.v1.Debug: how long the server runs, how much it keeps, and by what it is known to callers."""

import asyncio
from collections.abc import Callable, Sequence

from cryptography import x509

from assay.bundle import Bundle
from assay.clock import Clock
from assay.errors import AssayError, NotFoundError
from assay.rpc.method import Context
from assay.rpc.status import EndError, StatusCode
from assay.spiffeid import TrustDomain
from assay.svid.x509 import verified_path
from assay.wire.certificate import described
from assay_proto.spire.api.server.debug.v1 import debug_pb2 as pb
from assay_server.datastore.base import EntryFilter, NodeFilter, Store, Transaction

# Seconds for which an answer is given again: counting goes through whole tables.
CACHED = 5.0

OwnChain = Callable[[], Sequence[bytes]]


class DebugApi:
    """The Debug service. `own_chain` is the server's X.509-SVID (DER, leaf first); uptime counts from here."""

    def __init__(self, store: Store, trust_domain: TrustDomain, clock: Clock, own_chain: OwnChain) -> None:
        self._store = store
        self._trust_domain = trust_domain
        self._clock = clock
        self._own_chain = own_chain
        self._started = clock.monotonic()
        self._answer: pb.GetInfoResponse | None = None
        self._answered = 0.0
        self._counting = asyncio.Lock()

    async def GetInfo(self, request: pb.GetInfoRequest, context: Context) -> pb.GetInfoResponse:
        """The server's state, at most five seconds old."""
        async with self._counting:
            now = self._clock.monotonic()
            if self._answer is None or now - self._answered >= CACHED:
                self._answer, self._answered = await self._counted(int(now - self._started)), now
            return self._answer

    async def _counted(self, uptime: int) -> pb.GetInfoResponse:
        try:
            agents, entries, bundles, bundle = await self._store.read(self._read)
        except AssayError as error:
            raise EndError(StatusCode.INTERNAL, f"failed to count agents: {error.message}") from error
        if bundle is None:
            raise NotFoundError("trust domain bundle not found")
        return pb.GetInfoResponse(
            svid_chain=[pb.GetInfoResponse.Cert(**described(one)) for one in self._path(bundle)],
            uptime=uptime,
            agents_count=agents,
            entries_count=entries,
            federated_bundles_count=bundles,
        )

    def _read(self, tx: Transaction) -> tuple[int, int, int, Bundle | None]:
        # SPIRE counts its own bundle among the federated ones.
        return (
            tx.nodes.count(NodeFilter()),
            tx.entries.count(EntryFilter()),
            tx.bundles.count(),
            tx.bundles.get(self._trust_domain),
        )

    def _path(self, bundle: Bundle) -> Sequence[x509.Certificate]:
        try:
            return verified_path(self._own_chain(), bundle, self._clock.now())
        except AssayError as error:
            message = f"failed verification against bundle: {error.message}"
            raise EndError(StatusCode.INTERNAL, message) from error
