"""JWT-SVIDs on requests of httpx, whose users import this."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Generator, Sequence
from typing import Protocol

import httpx

from assay.caller import SCHEME
from assay.errors import InvalidArgumentError
from assay.svid import JwtSvid

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
            raise _wrong_kind("assay.workloadapi.blocking")
        yield _authorized(request, token)

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """As httpx has it."""
        self._check(request)
        token = self._fetched(asynchronous=True)
        if isinstance(token, JwtSvid):
            raise _wrong_kind("assay.workloadapi")
        yield _authorized(request, await token)

    def _fetched(self, *, asynchronous: bool) -> JwtSvid | Awaitable[JwtSvid]:
        # Looked at before it is called: a coroutine that nobody awaits, or a loop that waits, would be worse.
        if inspect.iscoroutinefunction(self._source.fetch) is not asynchronous:
            raise _wrong_kind("assay.workloadapi" if asynchronous else "assay.workloadapi.blocking")
        return self._source.fetch(self._audience)

    def _check(self, request: httpx.Request) -> None:
        if request.url.scheme != "https" and not self._insecure:
            where = f"{request.url.scheme}://{request.url.netloc.decode()}"
            raise InvalidArgumentError(
                f"a JWT-SVID is not sent to {where}, where it could be read", hint="use https, or say insecure=True"
            )


def _authorized(request: httpx.Request, token: JwtSvid) -> httpx.Request:
    request.headers[_HEADER] = f"{SCHEME} {token.token}"
    return request


def _wrong_kind(wanted: str) -> InvalidArgumentError:
    return InvalidArgumentError("the source is not for this kind of client", hint=f"give it one of {wanted}")
