"""JWT-SVIDs and WIT-SVIDs on requests of httpx, whose users import this."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Generator, Sequence
from typing import Protocol

import httpx

from assay.caller import SCHEME
from assay.clock import Clock, SystemClock
from assay.errors import InvalidArgumentError
from assay.svid import JwtSvid, WitSvid, proof

_HEADER = "Authorization"


class TokenSource(Protocol):
    """Where tokens come from: an open JwtSource of `assay.workloadapi`, or for `httpx.Client` of its `blocking`."""

    def fetch(self, audience: str | Sequence[str], /) -> JwtSvid | Awaitable[JwtSvid]:
        """A token for that audience."""
        ...


class JwtSvidAuth(httpx.Auth):
    """For `auth=` of a client or a request: `Authorization: Bearer` with a token for `audience` (JWT-SVID section 5.2).

    The source is asked for each request, and has the token at hand while it is fresh. Tokens are secrets, so requests
    to `http://` raise unless `insecure` is said; when a redirect leads to another origin, httpx drops the header.
    Give it to requests, or to a client of one service: a client sends it wherever it is told to go.

    Raises (from the request):
        InvalidArgumentError: the URL is not https, or the source is not for this kind of client.
    """

    def __init__(self, source: TokenSource, audience: str, *, insecure: bool = False) -> None:
        self._source = source
        self._audience = audience
        self._insecure = insecure

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """As httpx has it."""
        self._check(request)
        token = self._fetched(asynchronous=False)
        if not isinstance(token, JwtSvid):
            raise wrong_kind("assay.workloadapi.blocking")
        yield _authorized(request, token)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """As httpx has it."""
        self._check(request)
        token = self._fetched(asynchronous=True)
        if isinstance(token, JwtSvid):
            raise wrong_kind("assay.workloadapi")
        yield _authorized(request, await token)

    def _fetched(self, *, asynchronous: bool) -> JwtSvid | Awaitable[JwtSvid]:
        # Looked at before it is called: a coroutine that nobody awaits, or a loop that waits, would be worse.
        if inspect.iscoroutinefunction(self._source.fetch) is not asynchronous:
            raise wrong_kind("assay.workloadapi" if asynchronous else "assay.workloadapi.blocking")
        return self._source.fetch(self._audience)

    def _check(self, request: httpx.Request) -> None:
        check_secure(request, "JWT-SVID", insecure=self._insecure)


def _authorized(request: httpx.Request, token: JwtSvid) -> httpx.Request:
    request.headers[_HEADER] = f"{SCHEME} {token.token}"
    return request


def wrong_kind(wanted: str) -> InvalidArgumentError:
    """What a source is refused with that a client of this kind cannot wait for."""
    return InvalidArgumentError("the source is not for this kind of client", hint=f"give it one of {wanted}")


class ProvenSource(Protocol):
    """Where WIT-SVIDs come from: an open WitSource of `assay.workloadapi` or of its `blocking`, for either client."""

    def svid(self) -> WitSvid:
        """The newest, with its key."""
        ...


class WitSvidAuth(httpx.Auth):
    """For `auth=` of a client or a request: the WIT-SVID with a new proof for each request (WIT-SVID section 5).

    They go into headers of their own, `Workload-Identity-Token` and `Workload-Proof-Token`. The proof is for
    `audience`, or for the URL of the request without its query, and bound to the token that `Authorization` has, if
    any. Requests to `http://` raise unless `insecure` is said. Follow no redirects with it: httpx takes both headers
    along, to whichever host.

    Raises (from the request):
        InvalidArgumentError: the URL is not https.
    """

    def __init__(
        self, source: ProvenSource, audience: str = "", *, insecure: bool = False, clock: Clock | None = None
    ) -> None:
        self._source = source
        self._audience = audience
        self._insecure = insecure
        self._clock = clock or SystemClock()

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """As httpx has it."""
        check_secure(request, "WIT-SVID", insecure=self._insecure)
        svid = self._source.svid()
        audience = self._audience or str(request.url.copy_with(query=None, fragment=None))
        access_token = request.headers.get(_HEADER, "").partition(" ")[2]
        request.headers[proof.TOKEN_HEADER] = svid.token
        request.headers[proof.PROOF_HEADER] = proof.prove(svid, audience, self._clock.now(), access_token=access_token)
        yield request


def check_secure(request: httpx.Request, what: str, *, insecure: bool) -> None:
    """Refuse to send a secret to where it could be read; raises InvalidArgumentError."""
    if request.url.scheme != "https" and not insecure:
        where = f"{request.url.scheme}://{request.url.netloc.decode()}"
        raise InvalidArgumentError(
            f"a {what} is not sent to {where}, where it could be read", hint="use https, or say insecure=True"
        )
