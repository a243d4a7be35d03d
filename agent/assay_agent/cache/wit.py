"""WIT-SVIDs kept on the node with their keys, which are made here: a new one for each token, as for X.509-SVIDs."""

import asyncio
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from assay.bundle import Bundle
from assay.clock import Clock
from assay.crypto.keys import generate, to_pkix
from assay.entry import Entry
from assay.errors import FailedPreconditionError
from assay.keymanager.base import KeyType, SigningKey
from assay.rotation import draw, renew_at
from assay.spiffeid import SpiffeId
from assay.telemetry.metrics import OFF, Metrics, measured
from assay_agent.cache.signers import Signers
from assay_agent.cache.tokens import Issued, TokenCache

log = structlog.get_logger(__name__)

SIZE = ("wit_svid_cache_size",)
FETCH = ("wit_svid_cache", "new_wit_svid")
# Takes long and lets other threads run.
_SLOW = frozenset({KeyType.RSA_2048, KeyType.RSA_4096})

Key = tuple[str, SpiffeId]


class WitSource(Protocol):
    """Where WIT-SVIDs come from: the server's client."""

    async def new_wit_svid(self, entry_id: str, public_key: bytes, algorithm: str) -> Issued:
        """Have one issued for the entry and that key (PKIX DER); raises AssayError."""
        ...


@dataclass(frozen=True, slots=True)
class Wit:
    """A WIT-SVID and its private key as the text of a JWK, a secret. Times are Unix seconds."""

    token: str = field(repr=False)
    key: str = field(repr=False)
    expires_at: int
    renew_at: float


def key_of(entry: Entry) -> Key:
    """What the entry's token is kept under."""
    return entry.id, entry.spiffe_id


class WitCache:
    """A TokenCache of WIT-SVIDs. Who follows one asks again at its `renew_at`, at 45 to 55 % of its life."""

    def __init__(
        self,
        source: WitSource,
        clock: Clock,
        key_type: KeyType = KeyType.EC_P256,
        *,
        max_size: int = 1000,
        hit_timeout: float = 30.0,
        metrics: Metrics = OFF,
    ) -> None:
        self._signers = Signers()
        self._metrics = metrics
        self._source = source
        self._clock = clock
        self._key_type = key_type
        self._hit_timeout = hit_timeout
        self._kept: TokenCache[Key, Wit] = TokenCache(
            clock,
            max_size=max_size,
            hit_timeout=hit_timeout,
            kind="WIT",
            whose=lambda key: key[1],
            resized=lambda size: metrics.gauge(SIZE, size),
        )

    def __len__(self) -> int:
        return len(self._kept)

    def use(self, key_type: KeyType, max_size: int) -> None:
        """Make keys of this type from now on, and keep at most so many."""
        self._key_type = key_type
        self._kept.use(max_size, self._hit_timeout)

    async def fetch(self, entry: Entry) -> Wit:
        """The entry's WIT-SVID: the same for all its workloads on this node (WIT-SVID section 4).

        Raises:
            AssayError: the server gave none and none that is kept is still valid.
        """
        return await self._kept.get(key_of(entry), self._fresh, lambda: self._mint(entry, self._source))

    async def mint(self, entry: Entry, source: WitSource) -> Wit:
        """One that nobody else has, from there: not kept, since the task that it stands on may end.

        Raises:
            AssayError: the server gave none.
        """
        return await self._mint(entry, source)

    def clear(self) -> None:
        """Forget all: the server's keys are others now."""
        self._kept.clear()

    def take_bundle(self, bundle: Bundle) -> None:
        """Forget what was signed by keys that are tainted by this bundle of the own trust domain, or have left it."""
        before, self._signers = self._signers, Signers.of(bundle.wit_authorities)
        for key_id, count in self._kept.distrust(self._signers.lost_since(before)).items():
            log.info(
                "WIT-SVIDs were removed from the WIT cache because they were issued by a tainted authority",
                wit_authority_key_ids=key_id,
                tainted_wit_svids=count,
            )

    def trusts(self, wit: Wit) -> bool:
        """Whether one that was fetched may still be used, as far as the key goes that it was signed by."""
        return self._kept.trusts(wit)

    def _fresh(self, wit: Wit) -> bool:
        return self._clock.now().timestamp() < wit.renew_at

    async def _mint(self, entry: Entry, source: WitSource) -> Wit:
        with measured(self._metrics, FETCH):
            return await self._made(entry, source)

    async def _made(self, entry: Entry, source: WitSource) -> Wit:
        from assay.svid import witkey  # noqa: PLC0415 - few workloads ask for one, and all wait for the agent to start

        key = await self._new_key()
        algorithm = witkey.algorithm_of(key)
        issued = await source.new_wit_svid(entry.id, to_pkix(key.public_key()), algorithm)
        _check(issued, entry, key)
        at = renew_at(issued.issued_at, issued.expires_at, draw(issued.token.encode()))
        return Wit(issued.token, witkey.emit(key, algorithm), issued.expires_at, at)

    async def _new_key(self) -> SigningKey:
        return (
            await asyncio.to_thread(generate, self._key_type) if self._key_type in _SLOW else generate(self._key_type)
        )


def _check(issued: Issued, entry: Entry, key: SigningKey) -> None:
    """Refuse a token that is another's or about another key: its workload could prove nothing with it."""
    from assay.svid import wit  # noqa: PLC0415 - likewise

    svid = wit.with_key(wit.parse(issued.token), key)
    if svid.spiffe_id != entry.spiffe_id:
        raise FailedPreconditionError(f"server signed another SPIFFE ID: {svid.spiffe_id}")
