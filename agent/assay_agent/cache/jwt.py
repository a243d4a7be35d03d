"""JWT-SVIDs kept on the node, so that a workload that asks often costs the server one signature per half-life."""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from assay.clock import Clock
from assay.entry import Entry
from assay.errors import AssayError, Kind, UnavailableError
from assay.spiffeid import SpiffeId
from assay.telemetry.metrics import OFF, Metrics

log = structlog.get_logger(__name__)

# A refusal is an answer: only a server that gave none leaves the kept token in use.
REFUSALS = frozenset({Kind.NOT_FOUND, Kind.PERMISSION_DENIED, Kind.UNIMPLEMENTED})

SIZE = ("jwt_svid_cache_size",)

Key = tuple[str, SpiffeId, tuple[str, ...]]


class Jwt(Protocol):
    """A JWT-SVID as the server issues it; times are Unix seconds."""

    @property
    def token(self) -> str:
        """The compact JWS."""
        ...

    @property
    def issued_at(self) -> int:
        """Its `iat`."""
        ...

    @property
    def expires_at(self) -> int:
        """Its `exp`."""
        ...


class JwtSource(Protocol):
    """Where JWT-SVIDs come from: the server's client."""

    async def new_jwt_svid(self, entry_id: str, audience: Sequence[str]) -> Jwt:
        """Mint one for the entry; raises AssayError."""
        ...


def expires_soon(jwt: Jwt, now: float, draw: float) -> bool:
    """Whether less than half of its life is left, give or take a tenth of that half by `draw` in [0, 1)."""
    half = (jwt.expires_at - jwt.issued_at) / 2
    return jwt.expires_at - now <= half * (0.9 + 0.2 * draw)


class JwtCache:
    """Tokens by entry, SPIFFE ID and set of audiences; the least recently used goes when `max_size` is reached.

    `hit_timeout` is how many seconds the server may take to renew a token that is still valid. `draw` gives the jitter,
    a number in [0, 1) for each request.
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
        self._metrics = metrics
        self._source = source
        self._clock = clock
        self._max_size = max_size
        self._hit_timeout = hit_timeout
        self._draw = draw
        self._kept: OrderedDict[Key, Jwt] = OrderedDict()
        self._asking: dict[Key, asyncio.Future[Jwt | None]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def fetch(self, entry: Entry, audience: Sequence[str]) -> Jwt:
        """A token that is good for at least about half its life; a fresh one for an entry that wants a `jti` in each.

        Raises:
            AssayError: the server gave none and none that is kept is still valid.
        """
        if entry.jwt_svid_include_jti:
            return await self._source.new_jwt_svid(entry.id, audience)
        key = (entry.id, entry.spiffe_id, tuple(sorted(audience)))
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            if not expires_soon(kept, self._now, self._draw()):
                return kept
        return await self._join(key, audience)

    @property
    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def _join(self, key: Key, audience: Sequence[str]) -> Jwt:
        """Ask the server, or wait for who is asking it the same; if that caller left, the next asks in its place."""
        while (asking := self._asking.get(key)) is not None:
            shared = await asyncio.shield(asking)
            if shared is not None:
                return shared
        asking = self._asking[key] = asyncio.get_running_loop().create_future()
        try:
            jwt = await self._renew(key, audience)
        except AssayError as error:
            asking.set_exception(error)
            asking.exception()  # marks it as seen: often nobody else waits
            raise
        else:
            asking.set_result(jwt)
            return jwt
        finally:
            del self._asking[key]
            if not asking.done():
                asking.set_result(None)

    async def _renew(self, key: Key, audience: Sequence[str]) -> Jwt:
        kept = self._kept.get(key)
        valid = kept is not None and self._now < kept.expires_at
        try:
            async with asyncio.timeout(self._hit_timeout if valid else None):
                jwt = await self._source.new_jwt_svid(key[0], audience)
        except (AssayError, TimeoutError) as error:
            return self._fall_back(key, error)
        self._keep(key, jwt)
        return jwt

    def _keep(self, key: Key, jwt: Jwt) -> None:
        self._kept[key] = jwt
        self._kept.move_to_end(key)
        while len(self._kept) > self._max_size:
            self._kept.popitem(last=False)
        self._metrics.gauge(SIZE, len(self._kept))

    def _fall_back(self, key: Key, error: AssayError | TimeoutError) -> Jwt:
        refused = isinstance(error, AssayError) and error.kind in REFUSALS
        kept = self._kept.get(key)
        if kept is None or refused or kept.expires_at <= self._now:
            self._kept.pop(key, None)
            self._metrics.gauge(SIZE, len(self._kept))
            raise error if isinstance(error, AssayError) else UnavailableError("server did not answer in time")
        log.warning("Unable to renew JWT; returning cached copy", spiffe_id=str(key[1]), error=str(error) or "timeout")
        return kept
