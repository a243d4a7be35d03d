"""JWT-SVIDs for whatever audience, and the bundles to verify other workloads' with."""

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from assay.backoff import Backoff
from assay.clock import Clock
from assay.errors import AssayError, InvalidArgumentError, PermissionDeniedError, UnavailableError
from assay.spiffeid import SpiffeId
from assay.svid import JwtSvid
from assay.workloadapi.address import Endpoint
from assay.workloadapi.bundlesource import JwtBundleSource
from assay.workloadapi.client import WorkloadApiClient
from assay.workloadapi.errors import NoSuchIdentityError, SourceClosedError
from assay.workloadapi.following import RETRY
from assay.workloadapi.pick import as_id, choose, wanted
from assay.workloadapi.source import WITHIN, no_identity
from assay.workloadapi.tokens import Answer, Request, Tokens, checked

ATTEMPT = 30.0
"""Seconds that one request to the agent may take."""


class JwtSource(JwtBundleSource):
    """JWT-SVIDs on request, with `FetchJWTBundles` followed beside: it is a `BundleSource` of `assay.verify`.

    A token is handed out again until nine tenths of its life are over. From half of it on, whoever asks gets it and
    sets off its renewal in the background; callers that ask for the same share one request. When a renewal fails the
    token is kept, unless the agent said that the workload has no identity (PERMISSION_DENIED).

    Opening waits for the first bundles. `fetch` makes one attempt where there is no token to hand out.
    """

    def __init__(
        self,
        endpoint: Endpoint | Path | str | None = None,
        *,
        within: float | None = WITHIN,
        clock: Clock | None = None,
        backoff: Backoff = RETRY,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(endpoint, within=within, clock=clock, backoff=backoff, draw=draw)
        self._backoff = backoff
        self._draw = draw
        self._tokens = Tokens()
        self._requests: dict[Request, asyncio.Task[Answer]] = {}
        self._client: WorkloadApiClient | None = None

    async def fetch(
        self,
        audience: str | Sequence[str],
        spiffe_id: SpiffeId | str | None = None,
        *,
        hint: str | None = None,
        within: float | None = ATTEMPT,
    ) -> JwtSvid:
        """A token for that audience, or for all of several: of that identity, of that hint, or of the default one.

        `within` is how many seconds to wait for the agent. The token is a secret; `JwtSvid.token` has it.

        Raises:
            InvalidArgumentError: no audience, or no SPIFFE ID.
            NoIdentityError: the workload is not entitled to the identity, or to any.
            NoSuchIdentityError: none of its identities has that hint.
            MalformedResponseError: the agent's answer is not what was asked for.
            UnavailableError: the agent does not answer.
            SourceClosedError: the source is not open.
        """
        self._open_status()
        request = Request(_audiences(audience), as_id(spiffe_id))
        answer = await self._answer(request, within)
        chosen = choose(answer.tokens, hint, request.spiffe_id)
        if chosen is None:
            there = ", ".join(f'{one.spiffe_id} (hint "{one.hint}")' for one in answer.tokens)
            asked = wanted(hint, request.spiffe_id, picked=False)
            raise NoSuchIdentityError(f"the workload has no identity {asked}", hint=f"it has {there}")
        return chosen.svid

    async def close(self) -> None:
        """As `Source.close`; requests under way end with SourceClosedError."""
        self._follower.close()
        under_way = set(self._requests.values())
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way)
        if self._client is not None:
            await self._client.close()
        await super().close()

    async def _answer(self, request: Request, within: float | None) -> Answer:
        now = self._clock.now().timestamp()
        known = self._tokens.get(request, now)
        if known is None:
            return await self._shared(request, within)
        if known.due(now):
            self._begin(request)
        return known

    async def _shared(self, request: Request, within: float | None) -> Answer:
        task = self._begin(request)
        # Not awaited itself: who stops waiting must not end it for the others.
        await asyncio.wait({task}, timeout=within)
        if not task.done():
            raise UnavailableError(f"no JWT-SVID from the Workload API within {within:g} s")
        if task.cancelled():
            raise SourceClosedError("source was closed while a JWT-SVID was fetched")
        return task.result()

    def _begin(self, request: Request) -> asyncio.Task[Answer]:
        task = self._requests.get(request)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._ask(request), name="assay.workloadapi JWT-SVID")
            self._requests[request] = task
            task.add_done_callback(lambda done: self._done(request, done))
        return task

    def _done(self, request: Request, task: asyncio.Task[Answer]) -> None:
        del self._requests[request]
        if not task.cancelled():
            # Who asked knows of a failure; nobody asked for a renewal.
            task.exception()

    async def _ask(self, request: Request) -> Answer:
        self._client = self._client or self._connect()
        try:
            svids = await self._client.fetch_jwt(request.audience, request.spiffe_id, within=ATTEMPT)
            answer = checked(request, svids, self._clock.now())
        except PermissionDeniedError as error:
            self._tokens.drop(request)
            raise no_identity(error) from error
        except AssayError:
            self._renewal_failed(request)
            raise
        self._tokens.put(request, answer)
        return answer

    def _renewal_failed(self, request: Request) -> None:
        now = self._clock.now().timestamp()
        known = self._tokens.get(request, now)
        if known is not None:
            self._tokens.put(request, known.failed(now, self._draw(), self._backoff))


def _audiences(audience: str | Sequence[str]) -> tuple[str, ...]:
    audiences = (audience,) if isinstance(audience, str) else tuple(audience)
    if not audiences or not all(audiences):
        raise InvalidArgumentError("audience must be specified", hint="name whom the token is for")
    return audiences
