"""The agent's line to the server: dialled when first used, dialled anew after failures and renewed credentials."""

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from assay.errors import UnavailableError
from assay.rpc.client import Channel
from assay.wire.service import agent_stub, bundle_stub, svid_stub

if TYPE_CHECKING:  # these exist in the stubs only
    from assay_proto.spire.api.server.agent.v1.agent_pb2_grpc import AgentAsyncStub
    from assay_proto.spire.api.server.bundle.v1.bundle_pb2_grpc import BundleAsyncStub
    from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDAsyncStub

Dial: TypeAlias = Callable[[], Channel]


@dataclass(slots=True, eq=False)
class Line:
    """One channel, its stubs and who uses it."""

    channel: Channel
    agent: "AgentAsyncStub"
    bundle: "BundleAsyncStub"
    svid: "SVIDAsyncStub"
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
        self._current: Line | None = None
        self._lines: set[Line] = set()

    @asynccontextmanager
    async def line(self) -> AsyncGenerator[Line]:
        """The current line, dialled if there is none; dropped if what is done with it fails as unavailable."""
        line = self._get()
        line.users += 1
        try:
            yield line
        except UnavailableError:
            self._drop(line)
            raise
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
            await self._lines.pop().channel.close()

    def _get(self) -> Line:
        if self._current is None:
            channel = self._dial()
            self._current = Line(channel, agent_stub(channel), bundle_stub(channel), svid_stub(channel))
            self._lines.add(self._current)
        return self._current

    def _drop(self, line: Line) -> None:
        if self._current is line:
            self._current = None

    async def _close_idle(self) -> None:
        for line in [one for one in self._lines if one is not self._current and not one.users]:
            self._lines.discard(line)
            await line.channel.close()
