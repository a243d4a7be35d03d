"""`assay agent`: run, validate, healthcheck. What a command alone needs is imported when it runs."""

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
    Output,
    OutputOption,
    ShallowOption,
    VerboseOption,
    WorkloadSocketOption,
)
from assay.cli.taking import taking
from assay.sockets import WORKLOAD_SOCKET
from assay_agent.config.load import WITHOUT_FILE, LoadedAgent, load
from assay_agent.config.schema import FLAGS

if TYPE_CHECKING:
    from assay.clock import Clock
    from assay.loglevel import LiveLevel

DEFAULT_CONFIG = Path("conf/agent/agent.conf")

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Run, check and probe an agent.")


@dataclass(frozen=True, kw_only=True)
class AgentFlags(DaemonFlags):
    """Flags of `run` and `validate`. A token is a secret, and the command line shows to every user of the machine."""

    server_address: Annotated[str | None, typer.Option(help="The server's name or address.", metavar="ADDRESS")] = None
    server_port: Annotated[str | None, typer.Option(help="The server's TCP port.", metavar="PORT")] = None
    join_token: Annotated[
        str | None, typer.Option(help="A token from `assay token generate`; better in a file.", metavar="TOKEN")
    ] = None
    join_token_file: Annotated[Path | None, typer.Option(help="A file with such a token.", metavar="FILE")] = None
    trust_bundle: Annotated[Path | None, typer.Option(help="The server's CA certificates.", metavar="FILE")] = None
    trust_bundle_url: Annotated[str | None, typer.Option(help="The same at an https URL.", metavar="URL")] = None
    trust_bundle_format: Annotated[str | None, typer.Option(help="pem or spiffe.", metavar="FORMAT")] = None
    insecure_bootstrap: Annotated[
        bool, typer.Option("--insecure-bootstrap", help="Trust whatever server answers first.")
    ] = False
    rebootstrap_mode: Annotated[str | None, typer.Option(help="never, auto or always.", metavar="MODE")] = None
    rebootstrap_delay: Annotated[
        str | None, typer.Option(help="Before a server of other keys is met anew.", metavar="DURATION")
    ] = None
    allow_unauthenticated_verifiers: Annotated[
        bool, typer.Option("--allow-unauthenticated-verifiers", help="Give bundles to unregistered callers.")
    ] = False
    disable_workload_api: Annotated[bool, typer.Option("--disable-workload-api", help="Serve no Workload API.")] = False
    disable_sds_api: Annotated[bool, typer.Option("--disable-sds-api", help="Serve no secrets to Envoys.")] = False


@app.command(epilog="Example: assay agent run --config agent.conf")
@taking(AgentFlags)
def run(flags: AgentFlags) -> None:
    """Run the agent until SIGTERM or SIGINT. Flags win over the file.

    SIGHUP and SIGUSR1 read the file again, SIGUSR2 opens the log file anew.
    """
    loaded = _load(flags)
    load_structlog()
    from assay.cli.daemon import run_daemon  # noqa: PLC0415 - see the module's first line
    from assay_agent.app import serve  # noqa: PLC0415 - see the module's first line

    def serving(clock: "Clock", level: "LiveLevel") -> Coroutine[Any, Any, None]:
        return serve(loaded.config, clock=clock, level=level, reread=lambda: _load(flags).config)

    run_daemon("Agent", loaded.config.log, loaded.warnings, serving)


@app.command(epilog="Example: assay agent validate --config agent.conf --output json")
@taking(AgentFlags)
def validate(flags: AgentFlags, *, output: OutputOption = Output.PRETTY) -> None:
    """Check the configuration as `run` would, and say everything that is wrong with it."""
    report_validation("agent", output, lambda: _checked(flags).warnings)


@app.command(epilog="Example: assay agent healthcheck --verbose")
def healthcheck(
    *,
    socket_path: WorkloadSocketOption = WORKLOAD_SOCKET,
    shallow: ShallowOption = False,
    verbose: VerboseOption = False,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Ask the agent on its socket whether it is well; status 1 if not."""
    del shallow
    report_health("agent", socket_path, output, verbose=verbose)


def _load(flags: AgentFlags) -> LoadedAgent:
    return load(flags.document(DEFAULT_CONFIG, WITHOUT_FILE, os.environ), flags.overrides(FLAGS))


def _checked(flags: AgentFlags) -> LoadedAgent:
    from assay_agent.cli.checked import load_checked  # noqa: PLC0415 - see the module's first line

    return load_checked(flags.document(DEFAULT_CONFIG, WITHOUT_FILE, os.environ), flags.overrides(FLAGS))
