"""Options that several commands have."""

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from assay.config.duration import parse_duration


class Output(StrEnum):
    """How a command prints its answer."""

    PRETTY = "pretty"
    JSON = "json"


ADMIN_SOCKET_VARIABLE = "ASSAY_ADMIN_SOCKET"

OutputOption: TypeAlias = Annotated[Output, typer.Option("--output", "-o", help="How to print the answer.")]
AdminSocketOption: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--socket-path", help="The server's admin socket.", metavar="PATH", readable=False, envvar=ADMIN_SOCKET_VARIABLE
    ),
]
WorkloadSocketOption: TypeAlias = Annotated[
    Path, typer.Option("--socket-path", help="The agent's socket.", metavar="PATH", readable=False)
]
ShallowOption: TypeAlias = Annotated[bool, typer.Option("--shallow", help="Taken for SPIRE's sake; changes nothing.")]
VerboseOption: TypeAlias = Annotated[bool, typer.Option("--verbose", help="Say what was asked and what was wrong.")]
SelectorsOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--selector", help="type:value; may be given more than once.", metavar="SELECTOR")
]


def duration(text: str, flag: str) -> Decimal:
    """Seconds of a flag's duration, such as `90s` or `1h30m`.

    Raises:
        typer.BadParameter: it is none, or negative.
    """
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=flag) from None
    if seconds < 0:
        raise typer.BadParameter(f'"{text}" is negative', param_hint=flag)
    return seconds
