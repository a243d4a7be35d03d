"""`assay entry`: registration entries."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.wrappers_pb2 import BoolValue, StringValue

from assay.cli.admin import TIMEOUT, connect, run
from assay.cli.options import AdminSocketOption, Output, OutputOption, SelectorsOption
from assay.cli.output import count_of, print_message
from assay.errors import InvalidArgumentError
from assay.namespace import server_id
from assay.selector import Selector
from assay.sockets import ADMIN_SOCKET
from assay.spiffeid import SpiffeId
from assay.wire import selector as selector_wire
from assay.wire import spiffeid as wire
from assay.wire.status import code_of
from assay_proto.spire.api.server.entry.v1 import entry_pb2 as pb
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.types.entry_pb2 import Entry
from assay_proto.spire.api.types.status_pb2 import Status
from assay_server.cli.entryform import parse_entries, print_entry
from assay_server.cli.matching import Match, MatchSelectorsOption, federates_with_match, selector_match

PAGE = 500
MAX_INT32 = 2**31 - 1

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Create, show and delete registration entries.")

SpiffeIdOption = Annotated[str, typer.Option("--spiffe-id", help="Whom the entry is for.", metavar="ID")]
ParentIdOption = Annotated[str, typer.Option("--parent-id", help="Under which agent or node.", metavar="ID")]
EntryIdOption = Annotated[str, typer.Option("--entry-id", help="The entry's own ID.", metavar="ID")]
FederatesOption = Annotated[
    list[str] | None, typer.Option("--federates-with", help="A trust domain; more than once.", metavar="NAME")
]
HintOption = Annotated[str, typer.Option("--hint", help="What the SVID is for, told to workloads that have several.")]
TtlOption = Annotated[int, typer.Option(help="In seconds; 0 for the server's default.", min=0, max=MAX_INT32)]


@app.command()
def create(
    *,
    spiffe_id: SpiffeIdOption = "",
    parent_id: ParentIdOption = "",
    selector: SelectorsOption = None,
    node: Annotated[bool, typer.Option("--node", help="The entry is for nodes; it needs no parent.")] = False,
    admin: Annotated[bool, typer.Option("--admin", help="Its SVID may use the server's API.")] = False,
    downstream: Annotated[bool, typer.Option("--downstream", help="It is a server below this one.")] = False,
    dns: Annotated[list[str] | None, typer.Option(help="A DNS name; more than once.", metavar="NAME")] = None,
    federates_with: FederatesOption = None,
    entry_expiry: Annotated[int, typer.Option(help="When the entry goes, in Unix seconds.", min=0)] = 0,
    entry_id: EntryIdOption = "",
    x509_svid_ttl: TtlOption = 0,
    jwt_svid_ttl: TtlOption = 0,
    store_svid: Annotated[bool, typer.Option("--store-svid", help="An SVIDStore plugin keeps its SVID.")] = False,
    hint: HintOption = "",
    disable_x509_svid_prefetch: Annotated[
        bool, typer.Option("--disable-x509-svid-prefetch", help="Make its SVID only when it is asked for.")
    ] = False,
    jwt_svid_include_jti: Annotated[
        bool, typer.Option("--jwt-svid-include-jti", help="Each JWT-SVID is new and has an ID.")
    ] = False,
    data: Annotated[str, typer.Option(help='JSON file with {"entries": [...]}; - for standard input.')] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Register who gets which identity: one entry by flags, or many from a file."""
    if data:
        entries = parse_entries(_read(data))
    else:
        entry = Entry(
            id=entry_id,
            x509_svid_ttl=x509_svid_ttl,
            jwt_svid_ttl=jwt_svid_ttl,
            federates_with=federates_with or [],
            admin=admin,
            downstream=downstream,
            expires_at=entry_expiry,
            dns_names=dns or [],
            store_svid=store_svid,
            hint=hint,
        )
        if disable_x509_svid_prefetch or jwt_svid_include_jti:
            entry.additional_attributes.disable_x509_svid_prefetch = disable_x509_svid_prefetch
            entry.additional_attributes.jwt_svid_include_jti = jwt_svid_include_jti
        _identify(entry, spiffe_id, parent_id, selector or [], node=node)
        entries = [entry]
    answer = run(_create(socket_path, entries))
    if output is Output.JSON:
        print_message(answer)
    else:
        _print_created(answer)
    _exit_unless_ok(result.status for result in answer.results)


@app.command()
def show(
    *,
    entry_id: EntryIdOption = "",
    spiffe_id: SpiffeIdOption = "",
    parent_id: ParentIdOption = "",
    selector: SelectorsOption = None,
    match_selectors_on: MatchSelectorsOption = Match.SUPERSET,
    federates_with: FederatesOption = None,
    match_federates_with_on: Annotated[Match, typer.Option(help="How the trust domains must match.")] = Match.SUPERSET,
    downstream: Annotated[bool, typer.Option("--downstream", help="Only those of servers below this one.")] = False,
    hint: HintOption = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Show entries, all or those that fit."""
    if entry_id and (spiffe_id or parent_id or selector):
        raise typer.BadParameter("goes with no other filter", param_hint="--entry-id")
    where = pb.ListEntriesRequest.Filter()
    if spiffe_id:
        where.by_spiffe_id.CopyFrom(wire.to_proto(SpiffeId.parse(spiffe_id)))
    if parent_id:
        where.by_parent_id.CopyFrom(wire.to_proto(SpiffeId.parse(parent_id)))
    if selector:
        where.by_selectors.CopyFrom(selector_match(selector, match_selectors_on))
    if federates_with:
        where.by_federates_with.CopyFrom(federates_with_match(federates_with, match_federates_with_on))
    if downstream:
        where.by_downstream.CopyFrom(BoolValue(value=True))
    if hint:
        where.by_hint.CopyFrom(StringValue(value=hint))
    found = run(_get(socket_path, entry_id) if entry_id else _list(socket_path, where))
    if output is Output.JSON:
        print_message(found)
        return
    typer.echo(f"Found {count_of(len(found.entries), 'entry', 'entries')}")
    for entry in found.entries:
        print_entry(entry)


@app.command()
def delete(
    *,
    entry_id: EntryIdOption = "",
    file: Annotated[str, typer.Option(help='JSON file with {"ids": [...]}; - for standard input.')] = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Delete one entry, or those a file lists."""
    if not entry_id and not file:
        raise typer.BadParameter("an entry ID is required", param_hint="--entry-id")
    answer = run(_delete(socket_path, _ids(_read(file)) if file else [entry_id]))
    if output is Output.JSON:
        print_message(answer)
    else:
        _print_deleted(answer)
    _exit_unless_ok(result.status for result in answer.results)


def _identify(entry: Entry, spiffe_id: str, parent_id: str, selectors: list[str], *, node: bool) -> None:
    if not selectors:
        raise typer.BadParameter("at least one selector is required", param_hint="--selector")
    if not spiffe_id:
        raise typer.BadParameter("a SPIFFE ID is required", param_hint="--spiffe-id")
    if not parent_id and not node:
        raise typer.BadParameter("a parent ID is required if --node is not set", param_hint="--parent-id")
    if node and entry.federates_with:
        raise typer.BadParameter("node entries can not federate", param_hint="--federates-with")
    who = SpiffeId.parse(spiffe_id)
    parent = server_id(who.trust_domain) if node else SpiffeId.parse(parent_id)
    entry.spiffe_id.CopyFrom(wire.to_proto(who))
    entry.parent_id.CopyFrom(wire.to_proto(parent))
    entry.selectors.extend(selector_wire.to_proto(Selector.parse(text)) for text in selectors)


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"{name} cannot be read: {error}") from None


def _ids(text: str) -> list[str]:
    try:
        return [str(one) for one in json.loads(text)["ids"]]
    except (ValueError, TypeError, KeyError):
        raise InvalidArgumentError("the file has no list of IDs", hint='write {"ids": ["..."]}') from None


def _print_created(answer: pb.BatchCreateEntryResponse) -> None:
    for result in answer.results:
        if result.status.code:
            name = _code_name(result.status.code)
            why = f'Failed to create the following entry (code: {name}, msg: "{result.status.message}"):'
            typer.echo(why, err=True)
        print_entry(result.entry, err=bool(result.status.code))


def _print_deleted(answer: pb.BatchDeleteEntryResponse) -> None:
    for result in answer.results:
        if result.status.code:
            why = f'(code: {_code_name(result.status.code)}, msg: "{result.status.message}")'
            typer.echo(f"Failed to delete entry with ID {result.id} {why}", err=True)
        else:
            typer.echo(f"Deleted entry with ID: {result.id}")


def _exit_unless_ok(results: Iterable[Status]) -> None:
    if any(status.code for status in results):
        raise typer.Exit(1)


def _code_name(number: int) -> str:
    """As SPIRE prints a code, such as `AlreadyExists`."""
    return "".join(word.capitalize() for word in code_of(number).name.split("_"))


async def _create(socket_path: Path, entries: list[Entry]) -> pb.BatchCreateEntryResponse:
    async with connect(socket_path) as channel:
        answer = await EntryStub(channel).BatchCreateEntry(pb.BatchCreateEntryRequest(entries=entries), timeout=TIMEOUT)
    for result, entry in zip(answer.results, entries, strict=True):
        if result.status.code:
            # The server does not repeat what it refused; with ALREADY_EXISTS it gives the entry that is in the way.
            result.entry.CopyFrom(entry)
    return answer


async def _list(socket_path: Path, where: pb.ListEntriesRequest.Filter) -> pb.ListEntriesResponse:
    found = pb.ListEntriesResponse()
    async with connect(socket_path) as channel:
        while True:
            request = pb.ListEntriesRequest(filter=where, page_size=PAGE, page_token=found.next_page_token)
            page = await EntryStub(channel).ListEntries(request, timeout=TIMEOUT)
            found.entries.extend(page.entries)
            found.next_page_token = page.next_page_token
            if not page.next_page_token:
                return found


async def _get(socket_path: Path, entry_id: str) -> pb.ListEntriesResponse:
    async with connect(socket_path) as channel:
        return pb.ListEntriesResponse(
            entries=[await EntryStub(channel).GetEntry(pb.GetEntryRequest(id=entry_id), timeout=TIMEOUT)]
        )


async def _delete(socket_path: Path, ids: list[str]) -> pb.BatchDeleteEntryResponse:
    async with connect(socket_path) as channel:
        return await EntryStub(channel).BatchDeleteEntry(pb.BatchDeleteEntryRequest(ids=ids), timeout=TIMEOUT)
