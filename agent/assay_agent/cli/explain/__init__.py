"""`assay explain`: why a workload has no identity, and what would give it one."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.options import ADMIN_SOCKET_VARIABLE, Output, OutputOption
from assay.sockets import ADMIN_SOCKET

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: assay explain --pid 4711 --agent-config agent.conf")
def explain(
    *,
    pid: Annotated[int | None, typer.Option(help="The process that gets no identity.", metavar="PID", min=1)] = None,
    uid: Annotated[int | None, typer.Option(help="A user whose processes get none.", metavar="UID", min=0)] = None,
    agent_config: Annotated[
        Path | None,
        typer.Option(
            help="The agent's configuration; conf/agent/agent.conf, or what `assay up` runs here, if it is there.",
            metavar="FILE",
            readable=False,
        ),
    ] = None,
    expand_env: Annotated[
        bool, typer.Option("--expand-env", help="Expand $VARIABLES in the configuration file.")
    ] = False,
    agent_socket: Annotated[
        Path | None,
        typer.Option(
            help="The agent's private socket, private/api.sock in its data_dir, or its admin socket.",
            metavar="PATH",
            readable=False,
        ),
    ] = None,
    server_socket: Annotated[
        Path | None,
        typer.Option(
            help=f"The server's admin socket; {ADMIN_SOCKET} if a server is there.",
            metavar="PATH",
            readable=False,
            envvar=ADMIN_SOCKET_VARIABLE,
        ),
    ] = None,
    nearest: Annotated[int, typer.Option(help="How many entries to show.", min=1)] = 3,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Say why a workload has no identity, and which command would give it one; status 1 if it has none.

    Without --pid and --uid: the callers that the agent refused of late. Changes nothing. For root and the agent's user.
    """
    from assay.cli.admin import run  # noqa: PLC0415 - gRPC loads slowly
    from assay.cli.output import print_json  # noqa: PLC0415 - as above
    from assay_agent.cli.explain.gather import Request, gather  # noqa: PLC0415 - as above
    from assay_agent.cli.explain.report import explained_dict, print_explained  # noqa: PLC0415 - as above

    if pid is not None and uid is not None:
        raise typer.BadParameter("give either --pid or --uid", param_hint="--uid")
    request = Request(pid, uid, agent_config, agent_socket, server_socket, expand_env=expand_env, nearest=nearest)
    explained = run(gather(request))
    if output is Output.JSON:
        print_json(explained_dict(explained))
    else:
        print_explained(explained)
    if not all(one.issued for one in explained.cases):
        raise typer.Exit(1)
