"""The one stream on which the agent's server tells what counts no more, for all verifiers of the host."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypeAlias

from assay.errors import UnavailableError
from assay.wire.service import Exchange
from assay_agent.client.connection import Connection
from assay_agent.client.refusal import refusals
from assay_proto.status.v1 import status_pb2 as pb

_WATCH = pb.DESCRIPTOR.services_by_name["AgentStatus"].methods_by_name["Watch"]

StatusStream: TypeAlias = Exchange[pb.AgentMessage, pb.StatusMessage]


class RenewedError(UnavailableError):
    """The stream stood on an SVID that the agent has no more: open it again."""


class StatusStreams:
    """Opens them on the agent's line to its server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[StatusStream]:
        """A stream, on which nothing is said yet.

        Raises:
            AssayError: the server's refusal, wherever in the context it comes.
        """
        async with self._connection.line() as line:
            call: StatusStream = Exchange(line.channel, _WATCH, pb.StatusMessage)
            try:
                with line.ended_by_renewal(call.cancel), refusals():
                    async with call:
                        yield call
            except UnavailableError:
                if line.outdated:
                    raise RenewedError("agent's SVID was renewed") from None
                raise
