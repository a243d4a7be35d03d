"""`assay logger`: how much the server logs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.admin import TIMEOUT, connect, run
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import print_message
from assay.sockets import ADMIN_SOCKET
from assay.wire.loglevel import FROM_PROTO, TO_PROTO
from assay.wire.service import logger_stub
from assay_proto.spire.api.server.logger.v1 import logger_pb2 as pb
from assay_proto.spire.api.types.logger_pb2 import Logger

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Show and change how much the server logs.")

_NUMBERS = {str(name): number for name, number in TO_PROTO.items()}


class Level(StrEnum):
    """SPIRE's names of levels."""

    PANIC = "panic"
    FATAL = "fatal"
    ERROR = "error"
    WARN = "warn"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"
    TRACE = "trace"


@app.command(epilog="Example: assay logger get --output json")
def get(*, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY) -> None:
    """Show the level that the server logs at, and the one it was started with."""
    _print(run(_get(socket_path)), output)


@app.command("set", epilog="Example: assay logger set --level debug")
def set_level(
    *,
    level: Annotated[Level, typer.Option(help="From what on to log.", case_sensitive=False)],
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Have the server log at that level until it is changed again, or the server ends."""
    _print(run(_set(socket_path, level)), output)


@app.command(epilog="Example: assay logger reset --output json")
def reset(*, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY) -> None:
    """Have the server log at the level that it was started with."""
    _print(run(_reset(socket_path)), output)


async def _get(socket_path: Path) -> Logger:
    async with connect(socket_path) as channel:
        return await logger_stub(channel).GetLogger(pb.GetLoggerRequest(), timeout=TIMEOUT)


async def _set(socket_path: Path, level: Level) -> Logger:
    wanted = _NUMBERS["warning" if level is Level.WARN else level.value]
    async with connect(socket_path) as channel:
        return await logger_stub(channel).SetLogLevel(pb.SetLogLevelRequest(new_level=wanted), timeout=TIMEOUT)


async def _reset(socket_path: Path) -> Logger:
    async with connect(socket_path) as channel:
        return await logger_stub(channel).ResetLogLevel(pb.ResetLogLevelRequest(), timeout=TIMEOUT)


def _print(logger: Logger, output: Output) -> None:
    if output is Output.JSON:
        print_message(logger)
        return
    current, launch = FROM_PROTO[logger.current_level], FROM_PROTO[logger.launch_level]
    typer.echo(f"Logger Level : {current}\nLaunch Level : {launch}\n")
