"""`assay server`: run, validate, healthcheck. What a command alone needs is imported when it runs."""

import os
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assay.cli.checks import report_health, report_validation
from assay.cli.flags import DaemonFlags
from assay.cli.lean import load_structlog
from assay.cli.options import (
    AdminSocketOption,
    Output,
    OutputOption,
    ShallowOption,
    VerboseOption,
)
from assay.cli.taking import taking
from assay.sockets import ADMIN_SOCKET
from assay_server.config.load import WITHOUT_FILE, LoadedServer, load
from assay_server.config.schema import FLAGS

if TYPE_CHECKING:
    from assay.clock import Clock
    from assay.loglevel import LiveLevel

DEFAULT_CONFIG = Path("conf/server/server.conf")

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Run, check and probe a server.")


@dataclass(frozen=True, kw_only=True)
class ServerFlags(DaemonFlags):
    """Flags of `run` and `validate`."""

    bind_address: Annotated[str | None, typer.Option(help="Listen on this address.", metavar="ADDRESS")] = None
    server_port: Annotated[str | None, typer.Option(help="Listen on this TCP port.", metavar="PORT")] = None


@app.command(epilog="Example: assay server run --config server.conf")
@taking(ServerFlags)
def run(flags: ServerFlags) -> None:
    """Run the server until SIGTERM or SIGINT. Flags win over the file; --trust-domain and --data-dir do without one.

    SIGHUP and SIGUSR1 read the file again, SIGUSR2 opens the log file anew.
    """
    loaded = _load(flags)
    load_structlog()
    from assay.cli.daemon import run_daemon  # noqa: PLC0415 - see the module's first line
    from assay_server.app import serve  # noqa: PLC0415 - see the module's first line

    def serving(clock: "Clock", level: "LiveLevel") -> Coroutine[Any, Any, None]:
        return serve(loaded.config, clock=clock, level=level, reread=lambda: _load(flags).config)

    run_daemon("Server", loaded.config.log, loaded.warnings, serving)


@app.command(epilog="Example: assay server validate --config server.conf --output json")
@taking(ServerFlags)
def validate(flags: ServerFlags, *, output: OutputOption = Output.PRETTY) -> None:
    """Check the configuration as `run` would, and say everything that is wrong with it."""
    report_validation("server", output, lambda: _checked(flags).warnings)


@app.command(epilog="Example: assay server healthcheck --verbose")
def healthcheck(
    *,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    shallow: ShallowOption = False,
    verbose: VerboseOption = False,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Ask the server on its admin socket whether it is well; status 1 if not."""
    del shallow
    report_health("server", socket_path, output, verbose=verbose)


def _load(flags: ServerFlags) -> LoadedServer:
    return load(flags.document(DEFAULT_CONFIG, WITHOUT_FILE, os.environ), flags.overrides(FLAGS))


def _checked(flags: ServerFlags) -> LoadedServer:
    from assay_server.cli.checked import load_checked  # noqa: PLC0415 - see the module's first line

    return load_checked(flags.document(DEFAULT_CONFIG, WITHOUT_FILE, os.environ), flags.overrides(FLAGS))
