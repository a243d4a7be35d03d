"""Task tokens on requests of httpx, whose users import this: one task, one audience, a new proof for each request."""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from http import HTTPStatus
from typing import Protocol

import httpx

from assay.caller import SCHEME
from assay.clock import Clock, SystemClock
from assay.crypto import certificate as certificates
from assay.errors import InvalidArgumentError
from assay.httpauth import check_secure, wrong_kind
from assay.svid import dpop
from assay.svid.dpop import DpopKey
from assay.workloadapi.tasks import TaskCredential

_AUTHORIZATION = "Authorization"
# The last part of a token's life in which it is not sent again: it has still to travel.
_LAST = 0.1


class TaskSource(Protocol):
    """Where tokens come from: an open TaskClient of `assay.workloadapi.tasks`, or of `blocking` for `httpx.Client`."""

    def credential(
        self, task_id: str, audience: str, /, *, jkt: str = "", x5t_s256: str = ""
    ) -> TaskCredential | Awaitable[TaskCredential]:
        """A token for that audience, bound to a key or a certificate."""
        ...


class TaskTokenAuth(httpx.Auth):
    """For `auth=` of a client or a request: a token of the task for `audience`, with a DPoP proof (RFC 9449).

    The token is asked for once and sent again until nine tenths of its life are over, or until somebody answers 401: it
    may have been revoked, with more to be had. It is for one audience, so give it to requests, or to a client of
    one service. Requests to `http://` raise unless `insecure` is said. Follow no redirects with it.

    Args:
        tasks: hands out tokens.
        task_id: the task.
        audience: the resource that the requests are to.
        certificate: gives the certificate (DER) that the client's connections show: the token is then bound to that
            (RFC 8705), and there is no proof. When it changes, connections have to be new as well.
        key: the key of the proofs; a new one if None.
        insecure: send it to `http://`, too.
        clock: what time it is; the machine's if None.

    Raises (from the request):
        InvalidArgumentError: the URL is not https, or the source is not for this kind of client.
        AssayError: the refusal of the token.
    """

    def __init__(
        self,
        tasks: TaskSource,
        task_id: str,
        audience: str,
        *,
        certificate: Callable[[], bytes] | None = None,
        key: DpopKey | None = None,
        insecure: bool = False,
        clock: Clock | None = None,
    ) -> None:
        if certificate is not None and key is not None:
            raise InvalidArgumentError("a token is bound to a certificate or to a key", hint="give one of them")
        self._tasks = tasks
        self._task_id, self._audience = task_id, audience
        self._certificate = certificate
        self._key = key or DpopKey.create()
        self._insecure = insecure
        self._clock = clock or SystemClock()
        self._kept: tuple[str, TaskCredential, float] | None = None

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """As httpx has it."""
        check_secure(request, "task token", insecure=self._insecure)
        bound = self._bound_to()
        token = self._usable(bound)
        if token is None:
            found = self._ask(bound, asynchronous=False)
            if not isinstance(found, TaskCredential):
                raise wrong_kind("assay.workloadapi.blocking.tasks")
            token = self._keep(bound, found)
        self._note((yield self._authorized(request, token)))

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """As httpx has it."""
        check_secure(request, "task token", insecure=self._insecure)
        bound = self._bound_to()
        token = self._usable(bound)
        if token is None:
            found = self._ask(bound, asynchronous=True)
            if isinstance(found, TaskCredential):
                raise wrong_kind("assay.workloadapi.tasks")
            token = self._keep(bound, await found)
        self._note((yield self._authorized(request, token)))

    def _bound_to(self) -> str:
        return self._key.thumbprint if self._certificate is None else certificates.thumbprint(self._certificate())

    def _usable(self, bound: str) -> str | None:
        if self._kept is None:
            return None
        thumbprint, token, since = self._kept
        now = self._clock.now().timestamp()
        good = thumbprint == bound and since <= now < token.expires_at - _LAST * (token.expires_at - since)
        return token.token if good else None

    def _ask(self, bound: str, *, asynchronous: bool) -> TaskCredential | Awaitable[TaskCredential]:
        # Looked at before it is called: a coroutine that nobody awaits, or a loop that waits, would be worse.
        if inspect.iscoroutinefunction(self._tasks.credential) is not asynchronous:
            raise wrong_kind("assay.workloadapi.tasks" if asynchronous else "assay.workloadapi.blocking.tasks")
        if self._certificate is None:
            return self._tasks.credential(self._task_id, self._audience, jkt=bound)
        return self._tasks.credential(self._task_id, self._audience, x5t_s256=bound)

    def _keep(self, bound: str, token: TaskCredential) -> str:
        self._kept = bound, token, self._clock.now().timestamp()
        return token.token

    def _note(self, response: httpx.Response) -> None:
        if response.status_code == HTTPStatus.UNAUTHORIZED:
            self._kept = None

    def _authorized(self, request: httpx.Request, token: str) -> httpx.Request:
        if self._certificate is not None:
            request.headers[_AUTHORIZATION] = f"{SCHEME} {token}"
            return request
        request.headers[_AUTHORIZATION] = f"{dpop.SCHEME} {token}"
        request.headers[dpop.HEADER] = self._key.prove(
            request.method, str(request.url), self._clock.now(), access_token=token
        )
        return request
