"""Options that several commands have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer


class Output(StrEnum):
    """How a command prints its answer."""

    PRETTY = "pretty"
    JSON = "json"


OutputOption: TypeAlias = Annotated[Output, typer.Option("--output", "-o", help="How to print the answer.")]
AdminSocketOption: TypeAlias = Annotated[
    Path, typer.Option("--socket-path", help="The server's admin socket.", metavar="PATH", readable=False)
]
WorkloadSocketOption: TypeAlias = Annotated[
    Path, typer.Option("--socket-path", help="The agent's socket.", metavar="PATH", readable=False)
]
ShallowOption: TypeAlias = Annotated[bool, typer.Option("--shallow", help="Taken for SPIRE's sake; changes nothing.")]
VerboseOption: TypeAlias = Annotated[bool, typer.Option("--verbose", help="Say what was asked and what was wrong.")]
SelectorsOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--selector", help="type:value; may be given more than once.", metavar="SELECTOR")
]
