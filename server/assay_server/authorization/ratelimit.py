"""Rate limits per caller's IP address: token buckets that make callers wait, as SPIRE's do."""

from dataclasses import dataclass, fields

from assay.clock import Clock
from assay.errors import AssayError, ResourceExhaustedError
from assay.telemetry.metrics import Metrics, measured
from assay.telemetry.rpc import current_key
from assay_server.authorization.caller import current_caller
from assay_server.model.rates import Rates

# Seconds between looks for buckets that are full again, and so no different from none.
_SWEEP = 60.0


@dataclass(slots=True)
class _Bucket:
    """Tokens at a point in time; negative when callers wait for tokens to come."""

    tokens: float
    at: float

    def fill(self, rate: int, now: float) -> None:
        """Add what came since."""
        self.tokens = min(rate, self.tokens + (now - self.at) * rate)
        self.at = now


class RateLimit:
    """`rate` per second and address, in bursts of at most `rate`; None is without limit, and may be set at any time.

    The admin socket, which has no address, is free. With `metrics` what is taken for an RPC is counted, free or not.
    """

    def __init__(self, rate: int | None, clock: Clock, metrics: Metrics | None = None) -> None:
        self.rate = rate
        self._metrics = metrics
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}
        self._swept = clock.monotonic()

    async def take(self, address: str, count: int = 1, patience: float | None = None) -> None:
        """Take tokens, waiting for them if need be, but not when that would take more than `patience` seconds.

        Raises:
            ResourceExhaustedError: more are asked for than ever lie ready, or sooner than they come.
        """
        rate = self.rate
        if not address or rate is None:
            return
        if count > rate:
            raise ResourceExhaustedError(f"rate ({count}) exceeds burst size ({rate})")
        bucket = self._bucket(address, rate)
        wait = (count - bucket.tokens) / rate
        if patience is not None and wait > max(0.0, patience):
            raise ResourceExhaustedError(f"rate: Wait(n={count}) would exceed context deadline")
        bucket.tokens -= count
        if wait > 0:
            await self._wait(bucket, wait, count)

    async def take_counted(self, address: str, count: int, patience: float | None) -> None:
        """As `take`, counted for the RPC that is being answered."""
        if self._metrics is None or self.rate is None:
            await self.take(address, count, patience)
            return
        with measured(self._metrics, ("rateLimit", *current_key())):
            await self.take(address, count, patience)

    async def _wait(self, bucket: _Bucket, seconds: float, count: int) -> None:
        try:
            await self._clock.sleep(seconds)
        except BaseException:
            # Whoever gives up waiting does not make those behind wait for nothing.
            bucket.tokens += count
            raise

    def _bucket(self, address: str, rate: int) -> _Bucket:
        now = self._clock.monotonic()
        if now - self._swept >= _SWEEP:
            self._sweep(rate, now)
        bucket = self._buckets.get(address)
        if bucket is None:
            bucket = self._buckets[address] = _Bucket(rate, now)
        else:
            bucket.fill(rate, now)
        return bucket

    def _sweep(self, rate: int, now: float) -> None:
        self._swept = now
        for bucket in self._buckets.values():
            bucket.fill(rate, now)
        self._buckets = {address: bucket for address, bucket in self._buckets.items() if bucket.tokens < rate}


class RateLimits:
    """The limits of the server. `set` changes them for all calls from then on; who waits already waits on."""

    def __init__(self, rates: Rates, clock: Clock, metrics: Metrics | None = None) -> None:
        self.attestation = RateLimit(rates.attestation, clock, metrics)
        self.x509_signing = RateLimit(rates.x509_signing, clock, metrics)
        self.jwt_signing = RateLimit(rates.jwt_signing, clock, metrics)
        self.wit_signing = RateLimit(rates.wit_signing, clock, metrics)
        self.publishing = RateLimit(rates.publishing, clock, metrics)
        self.status = RateLimit(rates.status, clock, metrics)

    def set(self, rates: Rates) -> None:
        """Limit by these."""
        for one in fields(rates):
            limit: RateLimit = getattr(self, one.name)
            limit.rate = getattr(rates, one.name)


async def take(limit: RateLimit, count: int = 1, *, refusal: str, patience: float | None) -> None:
    """Take tokens for the current caller, or refuse in SPIRE's words, such as `attest agent rate limiting`.

    `patience` is how many seconds the caller still waits for its answer, None when it set no deadline.
    """
    try:
        await limit.take_counted(current_caller().host, count, patience)
    except AssayError as error:
        raise ResourceExhaustedError(f"rejecting request due to {refusal}: {error.message}") from None
