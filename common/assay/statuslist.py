"""Token Status Lists (draft-ietf-oauth-status-list): one or a few bits for each token, compressed, in a signed token.

Whoever relies on one takes it only whole: where anything is odd, nothing is known of the status, and a token whose
status is not known is refused.
"""

import base64
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from assay.errors import InvalidArgumentError, UnavailableError
from assay.svid import compact
from assay.svid.refusal import SvidRefusedError

TYPE = "statuslist+jwt"
MEDIA_TYPE = "application/statuslist+jwt"
VALID, INVALID, SUSPENDED = 0, 1, 2

MAX_TOKEN = 2 * 1024 * 1024
"""Characters; a list of a million random bits is a tenth of it."""
MAX_LIST = 1024 * 1024
"""Bytes of a list when it is decompressed: a million tokens of eight bits, or eight million of one."""

_BITS = (1, 2, 4, 8)
_MOST_IAT_AHEAD = compact.LEEWAY


class StatusUnknownError(UnavailableError):
    """No statement about a token's status can be made, so that the token is to be refused (section 8.3)."""


@dataclass(frozen=True, slots=True)
class StatusList:
    """The status of tokens by their index, each in so many bits, the lowest bits of a byte first (section 4.1)."""

    bits: int
    data: bytes

    def __post_init__(self) -> None:
        if self.bits not in _BITS:
            raise InvalidArgumentError("bits of a status list must be 1, 2, 4 or 8")

    @classmethod
    def of(cls, bits: int, length: int, statuses: Mapping[int, int]) -> "StatusList":
        """With `length` places, all VALID but these.

        Raises:
            InvalidArgumentError: a place or a status is out of range.
        """
        if bits not in _BITS or length * bits % 8:
            raise InvalidArgumentError("a status list has 1, 2, 4 or 8 bits for each token, and whole bytes")
        data, per_byte = bytearray(length * bits // 8), 8 // bits
        for index, status in statuses.items():
            if not 0 <= index < length or not 0 <= status < 1 << bits:
                raise InvalidArgumentError(f"status {status} at {index} does not fit into the list")
            data[index // per_byte] |= status << index % per_byte * bits
        return cls(bits, bytes(data))

    @classmethod
    def parse(cls, claim: object) -> "StatusList":
        """From the claim `status_list`.

        Raises:
            StatusUnknownError: it is malformed, cut off, or larger than MAX_LIST.
        """
        if not isinstance(claim, Mapping):
            raise StatusUnknownError("status list token has no status list")
        said = cast("Mapping[str, object]", claim)
        bits, compressed = said.get("bits"), said.get("lst")
        if not isinstance(bits, int) or isinstance(bits, bool) or bits not in _BITS or not isinstance(compressed, str):
            raise StatusUnknownError("status list is malformed")
        return cls(bits, _decompressed(compressed))

    @property
    def length(self) -> int:
        """How many places there are."""
        return len(self.data) * 8 // self.bits

    def status(self, index: int) -> int:
        """The status of the token with that index.

        Raises:
            StatusUnknownError: the list has no such place.
        """
        if not 0 <= index < self.length:
            raise StatusUnknownError(f"index {index} is out of the bounds of the status list")
        per_byte = 8 // self.bits
        return self.data[index // per_byte] >> index % per_byte * self.bits & (1 << self.bits) - 1

    def claim(self, aggregation_uri: str = "") -> dict[str, Any]:
        """As the claim `status_list` (section 4.2)."""
        compressed = base64.urlsafe_b64encode(zlib.compress(self.data, 9)).rstrip(b"=").decode()
        linked = {"aggregation_uri": aggregation_uri} if aggregation_uri else {}
        return {"bits": self.bits, "lst": compressed, **linked}


@dataclass(frozen=True, slots=True)
class StatusListToken:
    """A verified list: when it was issued and how long it may be relied on, times in Unix seconds.

    `expires_at` and `ttl` (seconds from when it was fetched) are None where the token does not say them.
    """

    uri: str
    statuses: StatusList
    issued_at: float
    expires_at: float | None
    ttl: float | None

    def good_until(self, fetched_at: float) -> float:
        """The stricter of both ends; when it was fetched if it has none."""
        ends = [
            end for end in (self.expires_at, None if self.ttl is None else fetched_at + self.ttl) if end is not None
        ]
        return min(ends, default=fetched_at)


def claims(
    uri: str, statuses: StatusList, issued_at: int, expires_at: int, ttl: int, aggregation_uri: str = ""
) -> dict[str, Any]:
    """What a status list token says (section 5.1)."""
    return {
        "sub": uri,
        "iat": issued_at,
        "exp": expires_at,
        "ttl": ttl,
        "status_list": statuses.claim(aggregation_uri),
    }


def verify(token: str, uri: str, key: Callable[[str], bytes | None], now: float) -> StatusListToken:
    """The list of that URI, which the key (PKIX DER, found by its ID) has signed (section 8.3).

    Raises:
        StatusUnknownError: another type, key, URI or time, or a list that cannot be read.
    """
    if len(token) > MAX_TOKEN:
        raise StatusUnknownError("status list token is too long")
    try:
        header, payload = compact.split(token)
        public_key = key(compact.key_id(header))
        if header.get("typ") not in {TYPE, MEDIA_TYPE}:
            raise StatusUnknownError("not a status list token")
        if public_key is None:
            raise StatusUnknownError("status list token is signed by a key that its issuer does not publish")
        compact.check_signature(token, header, public_key)
        issued_at, expires_at = compact.date(payload, "iat"), compact.date(payload, "exp")
        ttl = compact.date(payload, "ttl")
    except SvidRefusedError as error:
        raise StatusUnknownError(f"status list token: {error.message}") from None
    if payload.get("sub") != uri:
        raise StatusUnknownError("status list token is another list's")
    if issued_at is None or issued_at > now + _MOST_IAT_AHEAD:
        raise StatusUnknownError("status list token does not say when it was issued, or not yet")
    if expires_at is not None and now >= expires_at:
        raise StatusUnknownError("status list token has expired")
    if ttl is not None and ttl <= 0:
        raise StatusUnknownError("ttl of a status list token must be positive")
    return StatusListToken(uri, StatusList.parse(payload.get("status_list")), issued_at, expires_at, ttl)


class StatusListCache:
    """Lists that were fetched, by their URIs. One that is older than one there was before is refused, for good.

    `key` finds a key by its ID: PKIX DER, or None.
    """

    def __init__(self, key: Callable[[str], bytes | None]) -> None:
        self._key = key
        self._lists: dict[str, tuple[StatusListToken, float]] = {}

    def put(self, uri: str, token: str, now: float) -> StatusListToken:
        """Take what was fetched now (Unix seconds).

        Raises:
            StatusUnknownError: it is not that list, or older than what is known.
        """
        found = verify(token, uri, self._key, now)
        known = self._lists.get(uri)
        if known is not None and found.issued_at < known[0].issued_at:
            raise StatusUnknownError("status list token is older than one that was there before")
        self._lists[uri] = found, now
        return found

    def status(self, uri: str, index: int, now: float) -> int | None:
        """The status of a token; None where the list has to be fetched first.

        Raises:
            StatusUnknownError: the list has no such place.
        """
        known = self._lists.get(uri)
        # Fetched later than it is now: the clock was set back, and nobody knows how old the list is.
        if known is None or not known[1] <= now < known[0].good_until(known[1]):
            return None
        return known[0].statuses.status(index)


def _decompressed(text: str) -> bytes:
    try:
        compressed = compact.decode(text)
        inflating = zlib.decompressobj()
        data = inflating.decompress(compressed, MAX_LIST + 1)
    except (SvidRefusedError, zlib.error):
        raise StatusUnknownError("status list cannot be decompressed") from None
    if len(data) > MAX_LIST:
        raise StatusUnknownError("status list is too large")
    if not inflating.eof or inflating.unused_data:
        raise StatusUnknownError("status list is cut off, or has something behind it")
    return data
