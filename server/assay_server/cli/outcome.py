"""What became of the items of a batch."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import typer

from assay.cli.options import Output
from assay.cli.output import print_message, printable
from assay.telemetry.names import status_name
from assay.wire.status import code_of, refusal
from assay_proto.spire.api.types.status_pb2 import Status


def print_outcome(answer: Any, done: str, failed: str, output: Output) -> None:  # noqa: ANN401 - batches of many types
    """Say that the only item was done; status 1 if it was refused.

    Raises:
        AssayError: it was refused, in the words after `failed`; as JSON the answer says so.
    """
    results: Sequence[Any] = answer.results
    status = results[0].status
    if output is Output.JSON:
        print_message(answer)
        exit_unless_ok([status])
    elif status.code:
        raise refusal(code_of(status.code), f"{failed}: {printable(status.message)}")
    else:
        typer.echo(done)


def exit_unless_ok(results: Iterable[Status]) -> None:
    """End with status 1 if one was refused."""
    if any(status.code for status in results):
        raise typer.Exit(1)


def why(status: Status) -> str:
    """The refusal as SPIRE prints it, the code as in `AlreadyExists`."""
    words = printable(json.dumps(status.message, ensure_ascii=False))
    return f"(code: {status_name(code_of(status.code).name)}, msg: {words})"
