"""Entry point of the `assay` command.

Exit status: 0 done; 1 refused or failed, with the reason on standard error; 2 wrong usage; 130 interrupted.
"""

import gc
import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from assay.cli.argv import spire_flags
from assay.cli.groups import DESCRIPTIONS, find_groups
from assay.config.fault import ConfigError
from assay.errors import AssayError

FAILED = 1
INTERRUPTED = 130

# Objects made before the collector looks for cycles among them. Python's 700 has it look a thousand times while modules
# load, a tenth of the time that a daemon takes to start.
GC_THRESHOLDS = (20_000, 20, 20)


def main() -> None:
    """Run the command line of this process."""
    # gRPC's C code writes to standard error as it pleases, in lines of its own making.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Pydantic would read what every installed package says of itself, in search of plugins.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    gc.set_threshold(*GC_THRESHOLDS)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every terminal has every character
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit status."""
    try:
        _dispatch(_completed(spire_flags(arguments)))
    except AssayError as error:
        report(error)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has what it wanted; Python would complain when it flushes standard output on the way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED if end.code else 0
    return 0


def report(error: AssayError) -> None:
    """What failed and what to do next, on standard error."""
    if isinstance(error, ConfigError):
        for fault in error.faults:
            typer.echo(f"Error: {fault}", err=True)
    else:
        typer.echo(f"Error: {error.message}", err=True)
    if error.hint:
        typer.echo(f"Hint: {error.hint}", err=True)


def _completed(arguments: list[str]) -> list[str]:
    """`api fetch` alone is `api fetch x509`, as in SPIRE."""
    if arguments[:2] == ["api", "fetch"] and (len(arguments) == 2 or arguments[2].startswith("-")):  # noqa: PLR2004 - two words
        return arguments if "--help" in arguments else ["api", "fetch", "x509", *arguments[2:]]
    return arguments


def _dispatch(arguments: list[str]) -> None:
    name = arguments[0] if arguments else "--help"
    groups = find_groups() if not name.startswith("-") else {}
    if name in groups:
        app: typer.Typer = groups[name].load()
        get_command(app).main(arguments[1:], prog_name=f"assay {name}")
        return
    get_command(_root()).main(arguments or ["--help"], prog_name="assay")


def _root() -> typer.Typer:
    """The command without its groups' code: for help, the version and complaints."""
    root = typer.Typer(add_completion=False, help="A SPIFFE workload-identity issuer.", no_args_is_help=True)
    root.callback()(_options)
    for name in find_groups():
        root.command(name, help=DESCRIPTIONS.get(name, ""))(_nothing)
    return root


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - only for this

        typer.echo(f"assay {version('assay')}")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    del version


def _nothing() -> None:
    pass
