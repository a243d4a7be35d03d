"""`assay doctor`: what is wrong with this machine's server and agent, and what to do about it."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.options import Output, OutputOption

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: assay doctor --server-config server.conf --agent-config agent.conf")
def doctor(
    *,
    server_config: Annotated[
        Path | None,
        typer.Option(
            help="The server's configuration; conf/server/server.conf if it is there.", metavar="FILE", readable=False
        ),
    ] = None,
    agent_config: Annotated[
        Path | None,
        typer.Option(
            help="The agent's configuration; conf/agent/agent.conf if it is there.", metavar="FILE", readable=False
        ),
    ] = None,
    expand_env: Annotated[
        bool, typer.Option("--expand-env", help="Expand $VARIABLES in the configuration files.")
    ] = False,
    server_socket: Annotated[
        Path | None,
        typer.Option(help="The server's admin socket, if not as configured.", metavar="PATH", readable=False),
    ] = None,
    agent_socket: Annotated[
        Path | None, typer.Option(help="The agent's socket, if not as configured.", metavar="PATH", readable=False)
    ] = None,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Look for what is wrong with this machine's server and agent, and say what to do; status 1 if something failed.

    Changes nothing, needs no root and no running daemon, prints no secrets. What it could not look at it says.
    """
    from assay.cli.doctor.examine import Request, examine  # noqa: PLC0415 - gRPC and the certificates load slowly
    from assay.cli.doctor.report import print_report, report_dict  # noqa: PLC0415 - as above
    from assay.cli.output import print_json  # noqa: PLC0415 - as above

    configs = {"server": server_config, "agent": agent_config}
    sockets = {"server": server_socket, "agent": agent_socket}
    findings = examine(Request(configs, sockets, expand_env=expand_env))
    if output is Output.JSON:
        print_json(report_dict(findings))
    else:
        print_report(findings)
    if any(one.failed for one in findings):
        raise typer.Exit(1)
