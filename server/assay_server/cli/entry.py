"""`assay entry`: registration entries."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.admin import run
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import count_of, message_dict, print_json, print_message, printable
from assay.cli.taking import taking
from assay.errors import InvalidArgumentError
from assay.sockets import ADMIN_SOCKET
from assay_proto.spire.api.server.entry.v1 import entry_pb2 as pb
from assay_proto.spire.api.types.entry_pb2 import Entry
from assay_server.cli import entryclient as client
from assay_server.cli.entryflags import EntryFlags, EntryIdOption, FilterFlags
from assay_server.cli.entryform import parse_entries, print_entry
from assay_server.cli.outcome import exit_unless_ok, why

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Create, update, show, count and delete registration entries."
)

DataOption = Annotated[
    str,
    typer.Option(
        help='JSON file with {"entries": [...]}, in place of the other flags; - for standard input.', metavar="FILE"
    ),
]


@app.command(
    epilog="Example: assay entry create --spiffe-id spiffe://example.org/web "
    "--parent-id spiffe://example.org/spire/agent/x509pop/NODE --selector unix:user:web"
)
@taking(EntryFlags)
def create(
    flags: EntryFlags,
    *,
    node: Annotated[bool, typer.Option("--node", help="The entry is for nodes; it needs no parent.")] = False,
    data: DataOption = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Register who gets which identity: one entry by flags, or many from a file."""
    entries = _from_file(data, flags, node=node) if data else [flags.entry(node=node)]
    answer = run(client.create(socket_path, entries))
    _print_changed(answer, "create", output)


@app.command(
    epilog="Example: assay entry update --entry-id ID --spiffe-id spiffe://example.org/web "
    "--parent-id spiffe://example.org/node --selector unix:user:web --x509-svid-ttl 600"
)
@taking(EntryFlags)
def update(
    flags: EntryFlags,
    *,
    data: DataOption = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Replace all that entries say: one by flags, or many from a file. What is not given is taken away.

    Only --disable-x509-svid-prefetch and --jwt-svid-include-jti keep each other: to take one away, give neither.
    """
    entries = _from_file(data, flags) if data else [_replacement(flags, socket_path)]
    answer = run(client.update(socket_path, entries))
    _print_changed(answer, "update", output)


@app.command(epilog="Example: assay entry show --selector unix:user:web")
@taking(FilterFlags)
def show(
    flags: FilterFlags,
    *,
    entry_id: EntryIdOption = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Show entries, all or those that fit."""
    if entry_id and (flags.spiffe_id or flags.parent_id or flags.selector):
        raise typer.BadParameter("goes with no other filter", param_hint="--entry-id")
    if entry_id:
        found = pb.ListEntriesResponse(entries=[run(client.get(socket_path, entry_id))])
    else:
        found = run(client.find(socket_path, flags.where(pb.ListEntriesRequest.Filter())))
    bindings = run(client.bindings(socket_path, [entry.id for entry in found.entries]))
    if output is Output.JSON:
        # SPIRE's scripts find what they know; what it has no word for stands beside it.
        there = {"bindings": [message_dict(one) for one in bindings.values()]} if bindings else {}
        print_json({**message_dict(found), **there})
        return
    typer.echo(f"Found {count_of(len(found.entries), 'entry', 'entries')}")
    for entry in found.entries:
        print_entry(entry, bindings.get(entry.id))


@app.command(epilog="Example: assay entry count --parent-id spiffe://example.org/spire/agent/x509pop/NODE")
@taking(FilterFlags)
def count(
    flags: FilterFlags, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Count entries, all or those that fit."""
    answer = run(client.count(socket_path, flags.where(pb.CountEntriesRequest.Filter())))
    if output is Output.JSON:
        print_message(answer)
    else:
        typer.echo(count_of(answer.count, "registration entry", "registration entries"))


@app.command(epilog="Example: assay entry delete --entry-id 6837984a-bc44-462b-9ca6-5cd59be35066")
def delete(
    *,
    entry_id: EntryIdOption = "",
    file: Annotated[
        str, typer.Option(help='JSON file with {"ids": [...]}; - for standard input.', metavar="FILE")
    ] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Delete one entry, or those a file lists."""
    if not entry_id and not file:
        raise typer.BadParameter("an entry ID is required", param_hint="--entry-id")
    answer = run(client.delete(socket_path, _ids(_read(file)) if file else [entry_id]))
    if output is Output.JSON:
        print_message(answer)
    else:
        _print_deleted(answer)
    exit_unless_ok(result.status for result in answer.results)


def _from_file(name: str, flags: EntryFlags, *, node: bool = False) -> list[Entry]:
    if node or flags != EntryFlags():
        raise typer.BadParameter("goes with no flag of an entry", param_hint="--data")
    return parse_entries(_read(name))


def _replacement(flags: EntryFlags, socket_path: Path) -> Entry:
    """The entry to put in place of the one with its ID."""
    if not flags.entry_id:
        raise typer.BadParameter("an entry ID is required", param_hint="--entry-id")
    entry = flags.entry()
    if flags.has_attributes:
        # They are one field to the server: what was not asked for is kept, as SPIRE's command keeps it.
        wanted = entry.additional_attributes
        there = run(client.get(socket_path, flags.entry_id)).additional_attributes
        wanted.disable_x509_svid_prefetch |= there.disable_x509_svid_prefetch
        wanted.jwt_svid_include_jti |= there.jwt_svid_include_jti
    return entry


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidArgumentError(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidArgumentError(f"{name} is not UTF-8 text") from None


def _ids(text: str) -> list[str]:
    try:
        return [str(one) for one in json.loads(text)["ids"]]
    except (ValueError, TypeError, KeyError):
        raise InvalidArgumentError("the file has no list of IDs", hint='write {"ids": ["..."]}') from None


def _print_changed(
    answer: pb.BatchCreateEntryResponse | pb.BatchUpdateEntryResponse, verb: str, output: Output
) -> None:
    """Those done before those refused, as SPIRE prints them; status 1 if any was."""
    refused = [result for result in answer.results if result.status.code]
    if output is Output.JSON:
        print_message(answer)
        exit_unless_ok(result.status for result in refused)
        return
    for result in answer.results:
        if not result.status.code:
            print_entry(result.entry)
    for result in refused:
        typer.echo(f"Failed to {verb} the following entry {why(result.status)}:", err=True)
        print_entry(result.entry, err=True)
    if refused:
        typer.echo(f"Error: failed to {verb} one or more entries", err=True)
        raise typer.Exit(1)


def _print_deleted(answer: pb.BatchDeleteEntryResponse) -> None:
    for result in answer.results:
        if result.status.code:
            typer.echo(f"Failed to delete entry with ID {printable(result.id)} {why(result.status)}", err=True)
        else:
            typer.echo(f"Deleted entry with ID: {result.id}")
