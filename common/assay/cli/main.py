"""Entry point of the `assay` command.

Exit status: 0 done; 1 refused or failed, with the reason on standard error; 2 wrong usage; 130 interrupted.
"""

import gc
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
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
    """`api fetch` alone is `api fetch x509`, as in SPIRE; completion without a shell's name is for this one."""
    if arguments[:2] == ["api", "fetch"] and (len(arguments) == 2 or arguments[2].startswith("-")):  # noqa: PLR2004 - two words
        return arguments if "--help" in arguments else ["api", "fetch", "x509", *arguments[2:]]
    if arguments in (["--show-completion"], ["--install-completion"]):
        return [*arguments, ""]  # of the shell that this is run from
    return arguments


def _dispatch(arguments: list[str]) -> None:
    name = arguments[0] if arguments else "--help"
    groups = find_groups() if not name.startswith("-") else {}
    if name in groups:
        app: typer.Typer = groups[name].load()
        get_command(app).main(arguments[1:], prog_name=f"assay {name}")
        return
    get_command(root()).main(arguments or ["--help"], prog_name="assay")


def root() -> typer.Typer:
    """The command without its groups' code: for help, the version and complaints."""
    made = typer.Typer(add_completion=False, help="A SPIFFE workload-identity issuer.", no_args_is_help=True)
    made.callback()(_options)
    for name in find_groups():
        made.command(name, help=DESCRIPTIONS.get(name, ""))(_nothing)
    return made


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - only for this

        typer.echo(f"assay {version('assay')}")
        raise typer.Exit


def _show_completion(shell: str | None) -> None:
    if shell is not None:
        from assay.cli.completion.scripts import SCRIPTS, shell_named  # noqa: PLC0415 - only for this

        typer.echo(SCRIPTS[shell_named(shell)], nl=False)
        raise typer.Exit


def _install_completion(shell: str | None) -> None:
    if shell is not None:
        from assay.cli.completion.scripts import install, shell_named  # noqa: PLC0415 - only for this

        path = install(shell_named(shell), Path.home())
        typer.echo(f"Completion written to {path}; new shells have it.")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
    install_completion: Annotated[
        str | None,
        typer.Option(
            help="Complete commands with TAB in this shell: bash, zsh or fish; the one it is run from if not named.",
            metavar="[SHELL]",
            is_eager=True,
            callback=_install_completion,
        ),
    ] = None,
    show_completion: Annotated[
        str | None,
        typer.Option(
            help="Print what --install-completion would write.",
            metavar="[SHELL]",
            is_eager=True,
            callback=_show_completion,
        ),
    ] = None,
) -> None:
    del version, install_completion, show_completion


def _nothing() -> None:
    pass
