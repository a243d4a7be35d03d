"""`assay up`: a server and an agent as two processes, from nothing to verified SVIDs."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.up.options import DEFAULT_STATE, DEFAULT_TRUST_DOMAIN, Options

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: assay up --once --state /tmp/try")
def up(
    *,
    state: Annotated[Path, typer.Option(help="Folder for everything that is kept.", metavar="DIR")] = DEFAULT_STATE,
    once: Annotated[bool, typer.Option("--once", help="Stop both after the SVIDs were fetched and verified.")] = False,
    trust_domain: Annotated[
        str | None, typer.Option(help=f"Of a new folder; {DEFAULT_TRUST_DOMAIN} if not given.", metavar="NAME")
    ] = None,
    log_level: Annotated[str, typer.Option(help="Of both daemons' logs: DEBUG, INFO, WARN or ERROR.")] = "INFO",
) -> None:
    """Start a server and an agent here, register this user, fetch both kinds of SVID and verify them.

    Stays until Ctrl-C and leaves neither process behind. The next run goes on with what the folder holds.
    """
    from assay.cli.up.run import run_up  # noqa: PLC0415 - gRPC and the certificates take a while to load

    status = run_up(Options(state.absolute(), once, trust_domain, log_level))
    if status:
        raise typer.Exit(status)
