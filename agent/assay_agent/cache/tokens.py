"""Tokens kept on the node, so that a workload that asks often costs the server one signature per half-life."""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, Protocol, TypeVar

import structlog

from assay.clock import Clock
from assay.errors import AssayError, Kind, UnavailableError
from assay_agent.cache.signers import key_id

log = structlog.get_logger(__name__)

# A refusal is an answer: only a server that gave none leaves the kept token in use.
REFUSALS = frozenset({Kind.NOT_FOUND, Kind.PERMISSION_DENIED, Kind.UNIMPLEMENTED})


# Renewals under way at a time that nobody waits for, and seconds until a failed one is tried again.
WORKERS = 4
RETRY = 5.0


class Expiring(Protocol):
    """What is kept."""

    @property
    def token(self) -> str:
        """The compact JWS."""
        ...

    @property
    def expires_at(self) -> int:
        """Its `exp`, in Unix seconds."""
        ...


class Issued(Protocol):
    """A token as the server issues it; times are Unix seconds."""

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


K = TypeVar("K", bound=Hashable)
T = TypeVar("T", bound=Expiring)


class TokenCache(Generic[K, T]):
    """Tokens by what they were asked for; the least recently used goes when `max_size` is reached.

    `hit_timeout` is how many seconds the server may take to renew a token that is still valid. `kind` and `whose` say
    in the log what is kept; `resized` hears how many there are after each change.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_size: int,
        hit_timeout: float,
        kind: str,
        whose: Callable[[K], object],
        resized: Callable[[int], object] = int,
    ) -> None:
        self._clock = clock
        self._max_size = max_size
        self._hit_timeout = hit_timeout
        self._kind = kind
        self._whose = whose
        self._resized = resized
        self._kept: OrderedDict[K, T] = OrderedDict()
        self._asking: dict[K, asyncio.Future[T | None]] = {}
        self._due: asyncio.Queue[tuple[K, Callable[[], Awaitable[T]]]] = asyncio.Queue()
        # What is in the queue or under way, and until when what failed is left alone.
        self._renewing: set[K] = set()
        self._distrusted: frozenset[str] = frozenset()
        self._left_alone: dict[K, float] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def use(self, max_size: int, hit_timeout: float) -> None:
        """Take these from now on; what is too much by the new size is forgotten."""
        self._max_size = max_size
        self._hit_timeout = hit_timeout
        self._shrink()

    async def get(
        self,
        key: K,
        fresh: Callable[[T], bool],
        mint: Callable[[], Awaitable[T]],
        used_up: Callable[[T], bool] | None = None,
    ) -> T:
        """The kept token while it is `fresh`, or else what `mint` has the server make; it raises AssayError.

        With `used_up`, one that is neither is given out, too, and renewed by `run` meanwhile.

        Raises:
            AssayError: the server gave none and none that is kept is still valid.
        """
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            if fresh(kept):
                return kept
            if used_up is not None and not used_up(kept):
                self._renew_soon(key, mint)
                return kept
        return await self._join(key, mint)

    async def run(self) -> None:
        """Renew what is due, for ever."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    def _renew_soon(self, key: K, mint: Callable[[], Awaitable[T]]) -> None:
        if key not in self._renewing and self._left_alone.get(key, 0.0) <= self._clock.monotonic():
            self._renewing.add(key)
            self._due.put_nowait((key, mint))

    async def _work(self) -> None:
        while True:
            key, mint = await self._due.get()
            before = self._kept.get(key)
            try:
                if before is not None:
                    await self._join(key, mint)
            except AssayError as error:
                log.debug("Token is not renewed", kind=self._kind, spiffe_id=str(self._whose(key)), error=str(error))
            except Exception:
                # Nobody waits for it: a fault of ours must not end the daemon.
                log.exception("Unexpected error", spiffe_id=str(self._whose(key)))
            finally:
                self._renewing.discard(key)
                self._settle(key, failed=self._kept.get(key) is before)

    def _settle(self, key: K, *, failed: bool) -> None:
        now = self._clock.monotonic()
        self._left_alone = {one: until for one, until in self._left_alone.items() if until > now}
        if failed:
            self._left_alone[key] = now + RETRY
        else:
            self._left_alone.pop(key, None)

    def distrust(self, key_ids: frozenset[str]) -> Mapping[str, int]:
        """Forget what these keys signed, and keep nothing of it from now on; how many of each went.

        The keys take the place of those of the last call.
        """
        self._distrusted = key_ids
        gone = {key: by for key, one in self._kept.items() if (by := key_id(one.token)) in key_ids} if key_ids else {}
        for key in gone:
            del self._kept[key]
        if gone:
            self._resized(len(self._kept))
        return Counter(gone.values())

    def trusts(self, kept: T) -> bool:
        """Whether it is signed by none of the keys that were distrusted last."""
        return not self._distrusted or key_id(kept.token) not in self._distrusted

    def clear(self) -> None:
        """Forget all that is kept."""
        self._kept.clear()
        self._resized(0)

    @property
    def _now(self) -> float:
        return self._clock.now().timestamp()

    async def _join(self, key: K, mint: Callable[[], Awaitable[T]]) -> T:
        """Ask the server, or wait for who is asking it the same; if that caller left, the next asks in its place."""
        while (asking := self._asking.get(key)) is not None:
            shared = await asyncio.shield(asking)
            if shared is not None:
                return shared
        asking = self._asking[key] = asyncio.get_running_loop().create_future()
        try:
            token = await self._renew(key, mint)
        except AssayError as error:
            asking.set_exception(error)
            asking.exception()  # marks it as seen: often nobody else waits
            raise
        else:
            asking.set_result(token)
            return token
        finally:
            del self._asking[key]
            if not asking.done():
                asking.set_result(None)

    async def _renew(self, key: K, mint: Callable[[], Awaitable[T]]) -> T:
        kept = self._kept.get(key)
        valid = kept is not None and self._now < kept.expires_at
        try:
            async with asyncio.timeout(self._hit_timeout if valid else None):
                token = await mint()
        except (AssayError, TimeoutError) as error:
            return self._fall_back(key, error)
        self._keep(key, token)
        return token

    def _keep(self, key: K, token: T) -> None:
        # It may have been signed just before the key was found to be bad.
        if not self.trusts(token):
            return
        self._kept[key] = token
        self._kept.move_to_end(key)
        self._shrink()

    def _shrink(self) -> None:
        while len(self._kept) > self._max_size:
            self._kept.popitem(last=False)
        self._resized(len(self._kept))

    def _fall_back(self, key: K, error: AssayError | TimeoutError) -> T:
        refused = isinstance(error, AssayError) and error.kind in REFUSALS
        kept = self._kept.get(key)
        if kept is None or refused or kept.expires_at <= self._now:
            self._kept.pop(key, None)
            self._resized(len(self._kept))
            raise error if isinstance(error, AssayError) else UnavailableError("server did not answer in time")
        message = f"Unable to renew {self._kind}; returning cached copy"
        log.warning(message, spiffe_id=str(self._whose(key)), error=str(error) or "timeout")
        return kept
