"""JWT-SVIDs kept on the node, by entry, SPIFFE ID and set of audiences."""

import random
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Protocol

import structlog

from assay.bundle import Bundle
from assay.clock import Clock
from assay.entry import Entry
from assay.spiffeid import SpiffeId
from assay.telemetry.metrics import OFF, Metrics, ended
from assay_agent.cache.signers import Signers
from assay_agent.cache.tokens import Issued, TokenCache

log = structlog.get_logger(__name__)

# The share of its life that a token has left when its renewal is waited for.
LEAST = 0.25
SIZE = ("jwt_svid_cache_size",)
TAINTING = ("cache_manager", "workload", "process_tainted_jwt_svids")
TAINTED = ("cache_manager", "tainted_jwt_svids", "workload")

Key = tuple[str, SpiffeId, tuple[str, ...]]


class JwtSource(Protocol):
    """Where JWT-SVIDs come from: the server's client."""

    async def new_jwt_svid(self, entry_id: str, audience: Sequence[str]) -> Issued:
        """Mint one for the entry; raises AssayError."""
        ...


def expires_soon(jwt: Issued, now: float, draw: float) -> bool:
    """Whether less than half of its life is left, give or take a tenth of that half by `draw` in [0, 1)."""
    half = (jwt.expires_at - jwt.issued_at) / 2
    return jwt.expires_at - now <= half * (0.9 + 0.2 * draw)


def used_up(jwt: Issued, now: float) -> bool:
    """Whether so little of its life is left that the next has to be waited for."""
    return jwt.expires_at - now <= (jwt.expires_at - jwt.issued_at) * LEAST


class JwtCache:
    """A TokenCache of JWT-SVIDs. `draw` gives the jitter, a number in [0, 1) for each request.

    A token that is asked for in the second half of its life is renewed by `run` while the caller already has it.
    """

    def __init__(
        self,
        source: JwtSource,
        clock: Clock,
        *,
        max_size: int = 1000,
        hit_timeout: float = 30.0,
        draw: Callable[[], float] = random.random,
        metrics: Metrics = OFF,
    ) -> None:
        self._source = source
        self._clock = clock
        self._draw = draw
        self._metrics = metrics
        self._signers = Signers()
        self._kept: TokenCache[Key, Issued] = TokenCache(
            clock,
            max_size=max_size,
            hit_timeout=hit_timeout,
            kind="JWT",
            whose=lambda key: key[1],
            resized=lambda size: metrics.gauge(SIZE, size),
        )

    def __len__(self) -> int:
        return len(self._kept)

    def use(self, max_size: int, hit_timeout: float) -> None:
        """Keep at most so many from now on, and wait so many seconds for a renewal."""
        self._kept.use(max_size, hit_timeout)

    async def fetch(self, entry: Entry, audience: Sequence[str]) -> Issued:
        """A token with at least a quarter of its life left; a fresh one for an entry that wants a `jti` in each.

        It may be older when the server does not answer.

        Raises:
            AssayError: the server gave none and none that is kept is still valid.
        """
        if entry.jwt_svid_include_jti:
            return await self._source.new_jwt_svid(entry.id, audience)
        key = (entry.id, entry.spiffe_id, tuple(sorted(audience)))
        asked = tuple(audience)
        return await self._kept.get(
            key, self._fresh, lambda: self._source.new_jwt_svid(entry.id, asked), lambda jwt: used_up(jwt, self._now)
        )

    async def run(self) -> None:
        """Renew what is due, for ever."""
        await self._kept.run()

    @property
    def _now(self) -> float:
        return self._clock.now().timestamp()

    def clear(self) -> None:
        """Forget all: the server's keys are others now."""
        self._kept.clear()

    def take_bundle(self, bundle: Bundle) -> None:
        """Forget what was signed by keys that are tainted by this bundle of the own trust domain, or have left it."""
        before, self._signers = self._signers, Signers.of(bundle.jwt_authorities)
        lost = self._signers.lost_since(before)
        if new := self._signers.tainted - before.tainted:
            log.debug("New tainted JWT authorities found", jwt_authority_key_ids=",".join(sorted(new)))
        began = perf_counter()
        gone = self._kept.distrust(lost)
        if not lost - before.tainted:
            return
        ended(self._metrics, TAINTING, "OK", began)
        for key_id, count in gone.items():
            log.info(
                "JWT-SVIDs were removed from the JWT cache because they were issued by a tainted authority",
                jwt_authority_key_ids=key_id,
                tainted_jwt_svids=count,
            )
        self._metrics.sample(TAINTED, sum(gone.values()))

    def _fresh(self, jwt: Issued) -> bool:
        return not expires_soon(jwt, self._now, self._draw())
