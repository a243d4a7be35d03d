"""The private side of the front: a socket that only this user can reach, and connections to it made ahead of need."""

import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import socket
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path

from assay.errors import FailedPreconditionError
from assay.transport.pump import Side
from assay.transport.unix import MAX_PATH_BYTES

# Of the standard library, as in `assay.transport.listener`.
log = logging.getLogger("assay.transport")

# Connections kept ready.
SPARE = 8
# Seconds after which a spare connection is replaced: grpc drops one that sent nothing for about 120.
LIFETIME = 90.0
# Seconds before a lost spare is replaced, so that a server that drops all of them does not keep us busy.
REFILL_PAUSE = 1.0
_BACKLOG_PAUSE = 0.005


class PrivateFolder:
    """A fresh folder that only this user can enter, and the path of the one socket in it."""

    def __init__(self, parent: Path | None = None) -> None:
        """Make it below `parent`, by default where temporary files belong.

        Raises:
            FailedPreconditionError: paths there are too long for a socket.
        """
        self._held = -1
        self.path = Path(tempfile.mkdtemp(prefix="assay-", dir=parent))
        self.socket = self.path / "s"
        if len(bytes(self.socket)) > MAX_PATH_BYTES:
            self.remove()
            raise FailedPreconditionError(
                f"path of the private socket is longer than {MAX_PATH_BYTES} bytes", hint="set TMPDIR to a short path"
            )

    def hold(self) -> Path:
        """A path to the bound socket that leads to it even after a cleaner of temporary files deletes the folder."""
        if self._held < 0:
            self._held = os.open(self.socket, os.O_PATH | os.O_CLOEXEC)
        return Path(f"/proc/self/fd/{self._held}")

    def remove(self) -> None:
        """Delete it with what is in it."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1
        shutil.rmtree(self.path, ignore_errors=True)


class Inner(Side):
    """A connection to the gRPC server, bound to a name by which the server tells it from others."""

    def __init__(self, name: str, on_spare_lost: Callable[["Inner"], None]) -> None:
        super().__init__()
        self.name = name
        self.expiry: asyncio.TimerHandle | None = None
        self._on_spare_lost = on_spare_lost

    @property
    def usable(self) -> bool:
        """Whether the server has not dropped it."""
        return not self.lost and not self.transport.is_closing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the pump, or the pool if there is none yet."""
        super().connection_lost(exc)
        if not self.joined:
            self._on_spare_lost(self)


class InnerPool:
    """Dials the inner socket ahead of need; each connection is handed out once."""

    def __init__(self, path: Path, *, spare: int = SPARE, lifetime: float = LIFETIME) -> None:
        self._path = str(path)
        self._spare = spare
        self._lifetime = lifetime
        self._loop = asyncio.get_running_loop()
        self._ready: deque[Inner] = deque()
        self._filler: asyncio.Task[None] | None = None
        self._later: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._ready)

    async def take(self) -> Inner:
        """A connection that nobody has used.

        Raises:
            OSError: the server does not listen.
        """
        inner = self._pop()
        self.refill()
        return inner if inner is not None else await self._dial()

    def use(self, path: Path) -> None:
        """Dial there from now on."""
        self._path = str(path)

    def refill(self) -> None:
        """Dial until enough are ready."""
        if not self._closed and (self._filler is None or self._filler.done()) and len(self._ready) < self._spare:
            self._filler = self._loop.create_task(self._fill())

    async def close(self) -> None:
        """Drop the spares and dial no more."""
        self._closed = True
        if self._later is not None:
            self._later.cancel()
        if self._filler is not None:
            self._filler.cancel()
            await asyncio.gather(self._filler, return_exceptions=True)
        while (inner := self._pop()) is not None:
            inner.transport.abort()

    def _pop(self) -> Inner | None:
        while self._ready:
            inner = self._ready.popleft()
            if inner.expiry is not None:
                inner.expiry.cancel()
            if inner.usable:
                return inner
        return None

    async def _fill(self) -> None:
        try:
            while len(self._ready) < self._spare:
                inner = await self._dial()
                inner.expiry = self._loop.call_later(self._lifetime, self._replace, inner)
                self._ready.append(inner)
        except OSError as error:
            log.debug("Inner connection failed", extra={"fields": {"error": str(error)}})

    def _replace(self, inner: Inner) -> None:
        self._forget(inner)
        inner.transport.abort()
        self.refill()

    def _on_spare_lost(self, inner: Inner) -> None:
        self._forget(inner)
        if self._later is None and not self._closed:
            self._later = self._loop.call_later(REFILL_PAUSE, self._refill_later)

    def _refill_later(self) -> None:
        self._later = None
        self.refill()

    def _forget(self, inner: Inner) -> None:
        if inner.expiry is not None:
            inner.expiry.cancel()
        with contextlib.suppress(ValueError):
            self._ready.remove(inner)

    async def _dial(self) -> Inner:
        name = secrets.token_hex(16)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            connection.bind(f"\0{name}")
            await self._connect(connection)
            _, inner = await self._loop.create_unix_connection(
                lambda: Inner(name, self._on_spare_lost), sock=connection
            )
        except BaseException:
            connection.close()
            raise
        return inner

    async def _connect(self, connection: socket.socket) -> None:
        while True:
            try:
                connection.connect(self._path)
            except BlockingIOError:
                # A Unix socket does not wait in the background for room in the backlog.
                await asyncio.sleep(_BACKLOG_PAUSE)
            else:
                return
