"""A Workload API server for tests: a real Unix socket in this process, identities and faults as the test says."""

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.rpc.server import Server
from assay.rpc.status import Named, StatusCode, code_of
from assay.spiffeid import SpiffeId
from assay.testing.served import Identity, Outage, Served
from assay.testing.servicer import Servicer
from assay.testing.statusservicer import StatusServicer
from assay.testing.trustdomain import InMemoryTrustDomain
from assay.workloadapi import wire

_SOCKET = "api.sock"
# What fits into sockaddr_un everywhere, macOS included.
_MAX_SOCKET_BYTES = 103


class WorkloadApiServer:
    """Use as a context manager, `with` or `async with`; it runs in a thread of its own, so blocking clients may call.

    All callers get the same identities: at first none, so that they are refused with "no identity issued". Whatever
    the test changes, open streams are told at once. For two workloads with different identities make two servers.

    Args:
        trust_domain: who issues; a new `example.org` if None.
        ttl: how long X.509-SVIDs and WIT-SVIDs live, in seconds. They are renewed half-way by themselves, in real time.
    """

    def __init__(self, trust_domain: InMemoryTrustDomain | None = None, *, ttl: int | None = None) -> None:
        self.trust_domain = trust_domain or InMemoryTrustDomain()
        self._ttl = self.trust_domain.x509_ttl if ttl is None else ttl
        self._served = Served(self.trust_domain)
        self._unwatch: Callable[[], None] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._running: _Running | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    @property
    def path(self) -> Path:
        """The socket.

        Raises:
            FailedPreconditionError: it was never started, or is closed.
        """
        if self._folder is None:
            raise FailedPreconditionError("Workload API server has no socket", hint="use it in a `with` statement")
        return Path(self._folder.name, _SOCKET)

    @property
    def address(self) -> str:
        """What `SPIFFE_ENDPOINT_SOCKET` is to be; stays the same when it is stopped and started."""
        return f"unix://{self.path}"

    @property
    def calls(self) -> tuple[str, ...]:
        """The names of the RPCs that clients began so far, such as `FetchX509SVID`, failed ones as well."""
        return tuple(self._served.calls)

    def serve(
        self, path: str | SpiffeId, *, hint: str = "", dns_names: Sequence[str] = (), ttl: int | None = None
    ) -> SpiffeId:
        """Give callers one more identity; the first one is the default (Workload API, section 8).

        Raises:
            AlreadyExistsError: the identity or the hint is another's.
        """
        return self._served.add(path, hint, tuple(dns_names), self._ttl if ttl is None else ttl)

    def revoke(self, path: str | SpiffeId) -> None:
        """Take an identity away; with the last one, streams end with "no identity issued".

        Raises:
            NotFoundError: it is not served.
        """
        self._served.remove(path)

    def rotate(self) -> None:
        """New X.509- and WIT-SVIDs with new keys for all identities, now; for new authorities ask the trust domain."""
        self._served.renew(lambda _: True)

    def fail(self, code: Named | str, message: str = "", *, rpc: str | None = None) -> None:
        """Refuse calls with that code until `recover`; open streams end with it.

        Args:
            code: a gRPC code, such as `grpc.StatusCode.UNAVAILABLE`, or its name.
            message: the status message.
            rpc: the only RPC that fails, such as "FetchJWTSVID"; all if None.
        """
        found = StatusCode[code] if isinstance(code, str) else code_of(code)
        if found is StatusCode.OK:
            raise InvalidArgumentError("OK is no failure", hint="use recover()")
        self._served.fail(Outage(found, message or "the test says so"), rpc)

    def recover(self, *, rpc: str | None = None) -> None:
        """Answer again."""
        self._served.fail(None, rpc)

    def start(self) -> None:
        """Listen; after `stop` on the same socket again, with the same identities. Nothing if it is running.

        Raises:
            InvalidArgumentError: the folder for temporary files has too long a name for a socket.
        """
        if self._running is not None:
            return
        if self._folder is None:
            self._folder = _folder()
            self._unwatch = self.trust_domain.watch(self._served.follow_domain)
            self._served.follow_domain()
        self._running = _Running(self.path, self._served)

    def stop(self) -> None:
        """Go away, as an agent that is restarted: connections break, the socket is gone. Nothing if it does not run."""
        if self._running is not None:
            running, self._running = self._running, None
            running.stop()

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        if self._folder is not None and self._unwatch is not None:
            self._unwatch()
            self._folder.cleanup()
            self._folder = self._unwatch = None


def _folder() -> "tempfile.TemporaryDirectory[str]":
    folder = tempfile.TemporaryDirectory(prefix="assay-")
    if len(os.fsencode(Path(folder.name, _SOCKET))) <= _MAX_SOCKET_BYTES:
        return folder
    folder.cleanup()
    raise InvalidArgumentError("path of the Workload API's socket would be too long", hint="set TMPDIR to a short one")


def _due(identity: Identity) -> bool:
    return identity.renew_at <= time.monotonic()


class _Running:
    """The server while it runs: a thread with a loop."""

    def __init__(self, path: Path, served: Served) -> None:
        self._path, self._served = path, served
        self._started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._thread = threading.Thread(target=asyncio.run, args=[self._run()], name="workload-api", daemon=True)
        self._thread.start()
        self._loop, self._stopping = self._started.result()

    def stop(self) -> None:
        """Return when nothing of it is left."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    async def _run(self) -> None:
        loop, stopping, servicer = asyncio.get_running_loop(), asyncio.Event(), Servicer(self._served)
        # Before anyone can connect: a stream would not hear of what changes in between.
        self._served.tell(partial(loop.call_soon_threadsafe, servicer.wake))
        try:
            server = await _serve(self._path, servicer, self._served.domain)
        except Exception as error:  # noqa: BLE001 - it is raised where the server was started
            self._served.tell(None)
            self._started.set_exception(error)
            return
        try:
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._renew(servicer))
                self._started.set_result((loop, stopping))
                await stopping.wait()
                renewing.cancel()
        finally:
            self._served.tell(None)
            await server.close(0)

    async def _renew(self, servicer: Servicer) -> None:
        while True:
            changed = servicer.changed
            due = min((one.renew_at for one in self._served.state.identities), default=None)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.0, due - time.monotonic())):
                    await changed.wait()
            self._served.renew(_due)


async def _serve(path: Path, servicer: Servicer, domain: InMemoryTrustDomain) -> Server:
    server = Server()
    wire.register(server, servicer)
    server.add_generic_rpc_handlers((StatusServicer(domain.status).service(),))
    await server.listen_unix(path, mode=0o600, folder_mode=0o700)
    return server
