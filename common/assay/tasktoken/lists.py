"""Status lists over HTTPS (draft-ietf-oauth-status-list), for verifiers without an agent. Users of httpx import this.

    status = StatusListSource(client, bundles, issuer="https://assay.corp.example", trust_domain="corp.example")
    app = TaskTokenMiddleware(app, verifier, learning=status)

A list says nothing younger than itself: what is revoked is refused when the list is fetched anew, after its `ttl`.
"""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

import httpx

from assay.bundle import Bundle
from assay.clock import Clock, SystemClock
from assay.errors import AssayError
from assay.spiffeid import TrustDomain
from assay.standing import Ended, Index, Question, Standing
from assay.statuslist import MAX_TOKEN, MEDIA_TYPE, VALID, StatusListCache, StatusUnknownError
from assay.svid.refusal import Reason
from assay.tasktoken.following import log
from assay.tasktoken.token import TaskToken
from assay.verify import BundleSource

PAUSE = 1.0
"""Seconds between two attempts to fetch one list."""
TIMEOUT = 5.0
"""Seconds that one may take."""


class StatusListSource:
    """Fetches the lists of one issuer as tokens refer to them. A `StatusSource`; `learn` has to be awaited before.

    Nothing is fetched from anywhere but the issuer's own address, whatever a token says. Whatever is odd about a list,
    that it is older than one there was before included, leaves its tokens' status unknown, and them refused.

    Args:
        client: fetches; its TLS context has to know the issuer's certificate (`assay bundle show`).
        bundles: where the issuer's keys come from: lists are signed as its tokens are.
        issuer: the URL of the server's token endpoint.
        trust_domain: the issuer's.
        clock: what time it is; the machine's if None.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        bundles: BundleSource,
        *,
        issuer: str,
        trust_domain: TrustDomain | str,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._bundles = bundles
        self._prefix = f"{issuer.rstrip('/')}/status/"
        self._trust_domain = trust_domain if isinstance(trust_domain, TrustDomain) else TrustDomain.parse(trust_domain)
        self._clock = clock or SystemClock()
        self._cache = StatusListCache(self._key)
        self._times: dict[str, tuple[float, float]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._tried: dict[str, float] = {}

    async def learn(self, token: TaskToken) -> None:
        """Fetch the token's list, unless it is held still; why it could not be goes to the log `assay.tasktoken`."""
        index = token.index
        if index is None or self._known(index) or not index.uri.startswith(self._prefix):
            return
        # One request for all who wait for it.
        async with self._turns.setdefault(index.uri, asyncio.Lock()):
            if not self._known(index) and self._due(index.uri):
                await self._fetch(index.uri)

    def standing(self, question: Question, /) -> Standing:
        """What the list that is held says."""
        index = question.index
        status = self._status(index) if index is not None else None
        if index is None or status is None:
            return Standing()
        issued_at, fetched_at = self._times[index.uri]
        ended = None if status == VALID else Ended(Reason.REVOKED, "")
        age = max(0.0, self._now() - fetched_at)
        return Standing(ended, age, fresh=True, degraded=False, issuer_time=issued_at)

    def _known(self, index: Index) -> bool:
        return self._status(index) is not None

    def _status(self, index: Index) -> int | None:
        """None: not held, or the list has no such place."""
        try:
            return self._cache.status(index.uri, index.number, self._now())
        except StatusUnknownError:
            return None

    def _due(self, uri: str) -> bool:
        now = self._clock.monotonic()
        if now - self._tried.get(uri, -PAUSE) < PAUSE:
            return False
        self._tried[uri] = now
        return True

    async def _fetch(self, uri: str) -> None:
        # When it was asked for, not when it came: it may have been on its way for long.
        asked_at = self._now()
        try:
            found = self._cache.put(uri, await self._got(uri), asked_at)
        except (AssayError, httpx.HTTPError) as error:
            log.warning("Status list could not be had: %s", error, extra={"uri": uri})
            return
        self._times[uri] = found.issued_at, asked_at

    async def _got(self, uri: str) -> str:
        headers = {"Accept": MEDIA_TYPE}
        async with self._client.stream(
            "GET", uri, headers=headers, timeout=TIMEOUT, follow_redirects=False
        ) as response:
            kind = response.headers.get("content-type", "").partition(";")[0].strip()
            if response.status_code != HTTPStatus.OK or kind != MEDIA_TYPE:
                raise StatusUnknownError(f"status list was answered by {response.status_code}, {kind or 'no type'}")
            text = b""
            async for chunk in response.aiter_bytes():
                text += chunk
                if len(text) > MAX_TOKEN:
                    raise StatusUnknownError("status list token is too long")
        return text.decode("latin-1").strip()

    def _key(self, key_id: str) -> bytes | None:
        bundles: Mapping[TrustDomain, Bundle] = self._bundles.bundles()
        bundle = bundles.get(self._trust_domain)
        authorities = bundle.jwt_authorities if bundle is not None else ()
        return next((one.public_key for one in authorities if one.key_id == key_id), None)

    def _now(self) -> float:
        return self._clock.now().timestamp()
