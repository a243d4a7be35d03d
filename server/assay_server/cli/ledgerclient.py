"""Calls of assay.ledger.v1.Ledger by the commands."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from assay.cli.admin import connect, run
from assay.wire.service import Stub
from assay_proto.ledger.v1 import ledger_pb2 as pb

if TYPE_CHECKING:  # exists in the stubs only
    from assay_proto.ledger.v1.ledger_pb2_grpc import LedgerAsyncStub

LONG = 600.0
"""Seconds for what goes through many records."""

T = TypeVar("T")
_LEDGER = pb.DESCRIPTOR.services_by_name["Ledger"]


def ask(socket_path: Path, call: Callable[["LedgerAsyncStub"], Awaitable[T]]) -> T:
    """The answer to one call."""

    async def asked() -> T:
        async with connect(socket_path) as channel:
            return await call(cast("LedgerAsyncStub", Stub(channel, _LEDGER)))

    return run(asked())


def export(socket_path: Path, request: pb.ExportRequest, take: Callable[[str], None]) -> None:
    """Hand over the lines of an export one after another."""

    async def asked() -> None:
        async with aclosing(_lines(socket_path, request)) as lines:
            async for line in lines:
                take(line)

    run(asked())


async def _lines(socket_path: Path, request: pb.ExportRequest) -> AsyncGenerator[str]:
    async with connect(socket_path) as channel:
        path = f"/{_LEDGER.full_name}/Export"
        async with aclosing(channel.stream(path, request.SerializeToString(), (), timeout=None)) as answers:
            async for answer in answers:
                for line in pb.ExportResponse.FromString(answer).lines:
                    yield line
