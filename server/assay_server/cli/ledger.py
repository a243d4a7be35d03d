"""`assay ledger`: what was authorised, to be read, taken away and proved."""

import json
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.admin import TIMEOUT
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import count_of, print_json, print_message
from assay.ledger.verification import Trusted, verify
from assay.sockets import ADMIN_SOCKET
from assay.spiffeid import TrustDomain
from assay_proto.ledger.v1 import ledger_pb2 as pb
from assay_server.cli import ledgerclient, ledgerexplain
from assay_server.cli.ledgerclient import LONG, ask
from assay_server.cli.ledgerfiles import keys_of, lines_of, tokens_of
from assay_server.cli.ledgerform import print_checkpoints, print_records, print_verdict

FAULTY = 3
"""Exit status of `verify` where something is wrong with the export."""
PARTIAL = 4
"""Likewise where records were left out, so that it cannot be told."""

PAGE = 500

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Read, explain, export, sign, verify and prune the ledger of what was authorised.",
)
ledgerexplain.mount(app)

TaskOption = Annotated[str, typer.Option(help="Only records of this task.", metavar="TASK")]
PrincipalOption = Annotated[str, typer.Option(help="Only records of this principal.", metavar="NAME")]
SinceOption = Annotated[
    str, typer.Option(help="Only from this time on (RFC 3339, or a date, UTC), such as 2026-01-31.", metavar="TIME")
]


class Format(StrEnum):
    """What an export is written as."""

    JSONL = "jsonl"
    CLOUDEVENTS = "cloudevents"
    OTLP = "otlp"


@app.command("verify", epilog="Example: assay ledger verify ledger.jsonl --key ledger-key.json --checkpoint kept.jws")
def verify_export(
    export: Annotated[Path, typer.Argument(help="What `assay ledger export` wrote; - for standard input.")],
    *,
    key: Annotated[
        list[Path],
        typer.Option(help="The ledger's public key: a JWK Set, or PEM. May be given more than once.", metavar="FILE"),
    ],
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint that was kept elsewhere; may be given more than once.", metavar="FILE"),
    ] = None,
    trust_domain: Annotated[str, typer.Option(help="Whose ledger it has to be.", metavar="NAME")] = "",
    output: OutputOption = Output.PRETTY,
) -> None:
    """Tell whether an export is what was signed; needs no server. Exit status 3: it is not; 4: it is a part of it."""
    wanted = TrustDomain.parse(trust_domain) if trust_domain else None
    verdict = verify(lines_of(export), Trusted(keys_of(key), tokens_of(checkpoint or []), wanted))
    print_verdict(verdict, output)
    if not verdict.whole:
        raise typer.Exit(FAULTY if verdict.fault else PARTIAL)


@app.command("list", epilog="Example: assay ledger list --task tsk_01J9ZQ8Y3V0000000000000000")
def list_records(
    *,
    task: TaskOption = "",
    principal: PrincipalOption = "",
    since: SinceOption = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """List records, oldest first."""
    wanted, token = _filter(task, principal, since), ""
    while True:
        request = pb.ListRequest(page_size=PAGE, page_token=token, filter=wanted)
        answer = ask(socket_path, lambda stub, asked=request: stub.List(asked, timeout=TIMEOUT))  # type: ignore[misc]
        print_records(answer.records, output)
        token = answer.next_page_token
        if not token:
            return


@app.command(epilog="Example: assay ledger export --since 2026-01-01 > ledger.jsonl")
def export(
    *,
    task: TaskOption = "",
    principal: PrincipalOption = "",
    since: SinceOption = "",
    kind: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.JSONL,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
) -> None:
    """Write the ledger to standard output, a line for each record; all of it is signed first.

    With --task or --principal it is a part, and says so: only exports without gaps can be verified.
    """
    request = pb.ExportRequest(filter=_filter(task, principal, since))
    if kind is Format.JSONL:
        ledgerclient.export(socket_path, request, lambda line: print(line, file=sys.stdout))  # noqa: T201 - the answer
        return
    from assay.ledger.foreign import CONVERTERS  # noqa: PLC0415 - few ask for it

    convert = CONVERTERS[kind.value]()

    def take(line: str) -> None:
        for made in convert.line(json.loads(line)):
            print_json(made)

    ledgerclient.export(socket_path, request, take)
    for made in convert.rest():
        print_json(made)


@app.command(epilog="Example: assay ledger checkpoints --output json")
def checkpoints(*, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY) -> None:
    """List the signed checkpoints, oldest first."""
    found: list[pb.Checkpoint] = []
    token = ""
    while True:
        request = pb.ListCheckpointsRequest(page_size=PAGE, page_token=token)
        answer = ask(socket_path, lambda stub, asked=request: stub.ListCheckpoints(asked, timeout=TIMEOUT))  # type: ignore[misc]
        found += answer.checkpoints
        token = answer.next_page_token
        if not token:
            break
    print_checkpoints(found, output)


@app.command(epilog="Example: assay ledger checkpoint > kept.jws")
def checkpoint(*, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY) -> None:
    """Sign what is not signed yet, and print the newest checkpoint, to be kept where its keepers cannot reach."""
    answer = ask(socket_path, lambda stub: stub.MakeCheckpoint(pb.MakeCheckpointRequest(), timeout=TIMEOUT))
    if output is Output.JSON:
        print_message(answer)
    elif answer.HasField("checkpoint"):
        typer.echo(answer.checkpoint.token)
    else:
        typer.echo("There are no records yet.", err=True)


@app.command(epilog="Example: assay ledger key > ledger-key.json")
def key(
    *,
    every: Annotated[
        bool, typer.Option("--all", help="Also keys that signed before, as the ledger names them.")
    ] = False,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
) -> None:
    """Print the public key that checkpoints are verified with, a JWK Set."""
    typer.echo(ask(socket_path, lambda stub: stub.Keys(pb.KeysRequest(all=every), timeout=TIMEOUT)).jwks)


@app.command(epilog="Example: assay ledger prune --before 2026-01-01")
def prune(
    *,
    before: Annotated[str, typer.Option(help="Records older than this (RFC 3339, or a date, UTC).", metavar="TIME")],
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Drop old records, up to a checkpoint that the rest is verified from. Export them first."""
    request = pb.PruneRequest(before=_time(before, "--before"))
    answer = ask(socket_path, lambda stub: stub.Prune(request, timeout=LONG))
    if output is Output.JSON:
        print_message(answer)
        return
    gone = count_of(answer.records, "record", "records")
    typer.echo(f"Pruned {gone}; the ledger begins behind record {answer.through}.")


def _filter(task: str, principal: str, since: str) -> pb.Filter:
    return pb.Filter(task_id=task, principal=principal, since=_time(since, "--since") if since else 0)


def _time(text: str, flag: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise typer.BadParameter(f'"{text}" is no time, such as 2026-01-31', param_hint=flag) from None
