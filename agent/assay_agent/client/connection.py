"""The agent's line to the server: dialled when first used, dialled anew after failures and renewed credentials."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TypeAlias

from grpc import aio

from assay.errors import AssayError, UnavailableError
from assay_agent.client.entries import listing
from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentStub
from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleStub
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDStub
from assay_proto.sync.v1.sync_pb2_grpc import SyncStub

if TYPE_CHECKING:  # these exist in the stubs only
    from assay_agent.client.entries import Listing
    from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentAsyncStub
    from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleAsyncStub
    from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryAsyncStub
    from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDAsyncStub
    from assay_proto.sync.v1.sync_pb2_grpc import SyncAsyncStub


class Dialer(Protocol):
    """A channel that closes with its context, such as assay.transport.dial.SpiffeDialer."""

    @property
    def last_error(self) -> AssayError | None:
        """What the last connection failed by, which gRPC does not tell."""
        ...

    async def __aenter__(self) -> aio.Channel: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None: ...


Dial: TypeAlias = Callable[[], Dialer]


@dataclass(slots=True, eq=False)
class Line:
    """One channel, its stubs and who uses it."""

    stack: AsyncExitStack
    dialer: Dialer
    agent: "AgentAsyncStub"
    bundle: "BundleAsyncStub"
    entry: "EntryAsyncStub"
    listing: "Listing"
    svid: "SVIDAsyncStub"
    sync: "SyncAsyncStub"
    users: int = 0
    outdated: bool = False
    _streams: set[Callable[[], object]] = field(default_factory=set[Callable[[], object]])

    @contextmanager
    def ended_by_renewal(self, cancel: Callable[[], object]) -> Generator[None]:
        """Call `cancel` when the agent's credentials are renewed, since the server ends what stands on the old ones."""
        self._streams.add(cancel)
        try:
            yield
        finally:
            self._streams.discard(cancel)

    def expire(self) -> None:
        """The credentials it was dialled with are no longer the agent's."""
        self.outdated = True
        for cancel in tuple(self._streams):
            cancel()


class Connection:
    """Hands out the current line. Calls on a line that is no longer current run to their end."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._dialling = asyncio.Lock()
        self._current: Line | None = None
        self._lines: set[Line] = set()

    @asynccontextmanager
    async def line(self) -> AsyncGenerator[Line]:
        """The current line, dialled if there is none; dropped if what is done with it fails as unavailable."""
        line = await self._get()
        line.users += 1
        try:
            yield line
        except UnavailableError as error:
            self._drop(line)
            raise _explained(error, line.dialer.last_error) from error
        finally:
            line.users -= 1
            await self._close_idle()

    async def renew(self) -> None:
        """Dial anew for what comes next; streams on older lines end."""
        self._current = None
        for line in tuple(self._lines):
            line.expire()
        await self._close_idle()

    async def close(self) -> None:
        """End everything."""
        self._current = None
        while self._lines:
            await self._lines.pop().stack.aclose()

    async def _get(self) -> Line:
        async with self._dialling:
            if self._current is None:
                self._current = await self._open()
                self._lines.add(self._current)
            return self._current

    async def _open(self) -> Line:
        async with AsyncExitStack() as stack:
            dialer = self._dial()
            channel = await stack.enter_async_context(dialer)
            return Line(
                stack.pop_all(),
                dialer,
                agent=AgentStub(channel),
                bundle=BundleStub(channel),
                entry=EntryStub(channel),
                listing=listing(channel),
                svid=SVIDStub(channel),
                sync=SyncStub(channel),
            )

    def _drop(self, line: Line) -> None:
        if self._current is line:
            self._current = None

    async def _close_idle(self) -> None:
        for line in [one for one in self._lines if one is not self._current and not one.users]:
            self._lines.discard(line)
            await line.stack.aclose()


def _explained(error: UnavailableError, cause: AssayError | None) -> UnavailableError:
    return error if cause is None else UnavailableError(cause.message, hint=cause.hint)
