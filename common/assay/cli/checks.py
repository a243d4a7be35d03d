"""What `validate` and `healthcheck` print, for both daemons alike."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from assay.cli.options import Output
from assay.cli.output import print_json
from assay.config.fault import ConfigError, Fault
from assay.errors import AssayError


def report_validation(daemon: str, output: Output, load: Callable[[], Iterable[Fault]]) -> None:
    """Print whether the configuration loads, with its faults or warnings.

    Raises:
        typer.Exit: with status 1 when it does not.
    """
    try:
        warnings = list(load())
    except ConfigError as error:
        _print_verdict(daemon, output, error.faults, [])
        raise typer.Exit(1) from None
    _print_verdict(daemon, output, [], warnings)


def report_health(daemon: str, socket_path: Path, output: Output, *, verbose: bool) -> None:
    """Print whether the daemon is well.

    Raises:
        typer.Exit: with status 1 when it is not.
    """
    from assay.cli.health import check_health  # noqa: PLC0415 - gRPC takes a while to load

    if verbose and output is Output.PRETTY:
        typer.echo(f"Checking {daemon} health...")
    try:
        asyncio.run(check_health(socket_path, daemon))
    except AssayError as error:
        _print_unhealthy(daemon, output, error)
        raise typer.Exit(1) from None
    if output is Output.JSON:
        print_json({"healthy": True})
    else:
        typer.echo(f"{daemon.capitalize()} is healthy.")


def _print_verdict(daemon: str, output: Output, faults: Iterable[Fault], warnings: Iterable[Fault]) -> None:
    faults, warnings = list(faults), list(warnings)
    if output is Output.JSON:
        print_json({"valid": not faults, "errors": _dicts(faults), "warnings": _dicts(warnings)})
        return
    for fault in faults:
        typer.echo(f"Error: {fault}", err=True)
    for warning in warnings:
        typer.echo(f"Warning: {warning}", err=True)
    verdict = "is invalid" if faults else "is valid"
    typer.echo(f"Assay {daemon} configuration file {verdict}.", err=bool(faults))


def _dicts(faults: Iterable[Fault]) -> list[dict[str, str]]:
    return [{"where": fault.where, "key": fault.key, "reason": fault.reason} for fault in faults]


def _print_unhealthy(daemon: str, output: Output, error: AssayError) -> None:
    if output is Output.JSON:
        print_json({"healthy": False, "reason": error.message})
        return
    typer.echo(f"{daemon.capitalize()} is unhealthy: {error.message}", err=True)
    if error.hint:
        typer.echo(f"Hint: {error.hint}", err=True)
