"""Rate limits per caller's IP address: token buckets that make callers wait, as SPIRE's do."""

from dataclasses import dataclass

from assay.clock import Clock
from assay.errors import AssayError, ResourceExhaustedError

ATTESTATIONS_PER_SECOND = 1
SIGNATURES_PER_SECOND = 500
STATUSES_PER_SECOND = 10
_FORGET_AFTER = 60.0  # seconds


@dataclass(slots=True)
class _Bucket:
    """Tokens at a point in time; negative when callers wait for tokens to come."""

    tokens: float
    at: float


class RateLimit:
    """`rate` per second and address, in bursts of at most `rate`. The admin socket, which has no address, is free."""

    def __init__(self, rate: int, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        # Two generations: a bucket that was not touched for a whole one is full again and forgotten.
        self._current: dict[str, _Bucket] = {}
        self._previous: dict[str, _Bucket] = {}
        self._turned = clock.monotonic()

    async def take(self, address: str, count: int = 1) -> None:
        """Take tokens, waiting for them if need be.

        Raises:
            ResourceExhaustedError: more are asked for than ever lie ready.
        """
        if not address:
            return
        if count > self._rate:
            raise ResourceExhaustedError(f"rate ({count}) exceeds burst size ({self._rate})")
        bucket = self._bucket(address)
        bucket.tokens -= count
        if bucket.tokens < 0:
            await self._wait(bucket, count)

    async def _wait(self, bucket: _Bucket, count: int) -> None:
        try:
            await self._clock.sleep(-bucket.tokens / self._rate)
        except BaseException:
            # Whoever gives up waiting does not make those behind wait for nothing.
            bucket.tokens += count
            raise

    def _bucket(self, address: str) -> _Bucket:
        now = self._clock.monotonic()
        if now - self._turned >= _FORGET_AFTER:
            self._previous, self._current, self._turned = self._current, {}, now
        bucket = self._current.get(address) or self._previous.pop(address, None) or _Bucket(self._rate, now)
        bucket.tokens = min(self._rate, bucket.tokens + (now - bucket.at) * self._rate)
        bucket.at = now
        self._current[address] = bucket
        return bucket


class NoLimit(RateLimit):
    """A limit that is switched off."""

    async def take(self, address: str, count: int = 1) -> None:
        """Return at once."""


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The limits of the server. Renewals and X.509 batches share one budget, JWTs have their own."""

    attestation: RateLimit
    x509_signing: RateLimit
    jwt_signing: RateLimit
    status: RateLimit

    @classmethod
    def create(cls, clock: Clock, *, attestation: bool, signing: bool) -> "RateLimits":
        """SPIRE's limits, with the two switches of its `ratelimit` block."""
        attesting = RateLimit if attestation else NoLimit
        limit = RateLimit if signing else NoLimit
        return cls(
            attestation=attesting(ATTESTATIONS_PER_SECOND, clock),
            x509_signing=limit(SIGNATURES_PER_SECOND, clock),
            jwt_signing=limit(SIGNATURES_PER_SECOND, clock),
            status=RateLimit(STATUSES_PER_SECOND, clock),
        )


async def take(limit: RateLimit, address: str, count: int = 1, *, doing: str) -> None:
    """Take tokens for what is named in the refusal, such as `attest agent`."""
    try:
        await limit.take(address, count)
    except AssayError as error:
        raise ResourceExhaustedError(f"rejecting request due to {doing} rate limiting: {error.message}") from None
