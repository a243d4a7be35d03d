"""`assay federation`: relationships with other trust domains."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

import typer

from assay.cli.admin import TIMEOUT, connect, run
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import count_of, print_json, print_message, printable
from assay.cli.taking import taking
from assay.sockets import ADMIN_SOCKET
from assay.wire.service import trust_domain_stub
from assay_proto.spire.api.server.trustdomain.v1 import trustdomain_pb2 as pb
from assay_proto.spire.api.types.federationrelationship_pb2 import FederationRelationship
from assay_server.cli.bundleform import read_input
from assay_server.cli.federationform import RelationshipFlags, parse_relationships, print_relationship
from assay_server.cli.outcome import exit_unless_ok, print_outcome, why

if TYPE_CHECKING:
    from assay_proto.spire.api.server.trustdomain.v1.trustdomain_pb2_grpc import TrustDomainAsyncStub

PAGE = 100
T = TypeVar("T")
Results: TypeAlias = Sequence[
    pb.BatchCreateFederationRelationshipResponse.Result | pb.BatchUpdateFederationRelationshipResponse.Result
]
Changed: TypeAlias = pb.BatchCreateFederationRelationshipResponse | pb.BatchUpdateFederationRelationshipResponse

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Create, update, show, list, refresh and delete federation relationships.",
)

DataOption = Annotated[
    str,
    typer.Option(
        help='JSON file with {"federationRelationships": [...]}, in place of the other flags; - for standard input.',
        metavar="FILE",
    ),
]
IdOption = Annotated[str, typer.Option("--id", help="The trust domain.", metavar="NAME")]


@app.command(
    epilog="Example: assay federation create --trust-domain other.example "
    "--bundle-endpoint-url https://other.example/bundle --bundle-endpoint-profile https_web"
)
@taking(RelationshipFlags)
def create(
    flags: RelationshipFlags,
    *,
    data: DataOption = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Federate with trust domains: one by flags, or many from a file."""
    wanted = _wanted(flags, data)
    request = pb.BatchCreateFederationRelationshipRequest(federation_relationships=wanted)
    answer = _ask(socket_path, lambda stub: stub.BatchCreateFederationRelationship(request, timeout=TIMEOUT))
    _report(answer, wanted, "create", output)


@app.command(
    epilog="Example: assay federation update --trust-domain other.example "
    "--bundle-endpoint-url https://other.example/bundle --bundle-endpoint-profile https_web"
)
@taking(RelationshipFlags)
def update(
    flags: RelationshipFlags,
    *,
    data: DataOption = "",
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Replace all that relationships say: one by flags, or many from a file. A bundle that is not given stays."""
    wanted = _wanted(flags, data)
    request = pb.BatchUpdateFederationRelationshipRequest(federation_relationships=wanted)
    answer = _ask(socket_path, lambda stub: stub.BatchUpdateFederationRelationship(request, timeout=TIMEOUT))
    _report(answer, wanted, "update", output)


@app.command("list", epilog="Example: assay federation list --output json")
def list_relationships(*, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY) -> None:
    """List the relationships there are."""
    found = _ask(socket_path, _all)
    if output is Output.JSON:
        print_message(found)
        return
    number = len(found.federation_relationships)
    typer.echo(f"Found {count_of(number, 'federation relationship', 'federation relationships')}")
    for one in found.federation_relationships:
        typer.echo("")
        print_relationship(one)


@app.command(epilog="Example: assay federation show --trust-domain other.example")
def show(
    *,
    trust_domain: Annotated[str, typer.Option(help="Whom it is with.", metavar="NAME")],
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Show the relationship with one trust domain."""
    request = pb.GetFederationRelationshipRequest(trust_domain=trust_domain)
    found = _ask(socket_path, lambda stub: stub.GetFederationRelationship(request, timeout=TIMEOUT))
    if output is Output.JSON:
        print_message(found)
        return
    typer.echo(f"Found a federation relationship with trust domain {printable(trust_domain)}:\n")
    print_relationship(found)


@app.command(epilog="Example: assay federation delete --id other.example")
def delete(
    *, trust_domain: IdOption, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """End the relationship with a trust domain; its bundle stays."""
    request = pb.BatchDeleteFederationRelationshipRequest(trust_domains=[trust_domain])
    answer = _ask(socket_path, lambda stub: stub.BatchDeleteFederationRelationship(request, timeout=TIMEOUT))
    failed = f'failed to delete federation relationship "{printable(trust_domain)}"'
    print_outcome(answer, "federation relationship deleted.", failed, output)


@app.command(epilog="Example: assay federation refresh --id other.example")
def refresh(
    *, trust_domain: IdOption, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Have the server fetch a trust domain's bundle now."""
    request = pb.RefreshBundleRequest(trust_domain=trust_domain)
    _ask(socket_path, lambda stub: stub.RefreshBundle(request, timeout=TIMEOUT))
    if output is Output.JSON:
        print_json({"code": 0, "message": ""})
    else:
        typer.echo("Bundle refreshed")


def _wanted(flags: RelationshipFlags, data: str) -> list[FederationRelationship]:
    if not data:
        return [flags.relationship()]
    if flags != RelationshipFlags():
        raise typer.BadParameter("goes with no flag of a relationship", param_hint="--data")
    return parse_relationships(read_input(data))


def _ask(socket_path: Path, call: Callable[["TrustDomainAsyncStub"], Awaitable[T]]) -> T:
    async def ask() -> T:
        async with connect(socket_path) as channel:
            return await call(trust_domain_stub(channel))

    return run(ask())


async def _all(stub: "TrustDomainAsyncStub") -> pb.ListFederationRelationshipsResponse:
    """Page by page."""
    found = pb.ListFederationRelationshipsResponse()
    while True:
        request = pb.ListFederationRelationshipsRequest(page_size=PAGE, page_token=found.next_page_token)
        page = await stub.ListFederationRelationships(request, timeout=TIMEOUT)
        found.federation_relationships.extend(page.federation_relationships)
        found.next_page_token = page.next_page_token
        if not page.next_page_token:
            return found


def _report(answer: Changed, wanted: Sequence[FederationRelationship], verb: str, output: Output) -> None:
    if output is Output.JSON:
        print_message(answer)
    else:
        _print_changed(answer.results, wanted, verb)
    exit_unless_ok(result.status for result in answer.results)


def _print_changed(results: Results, wanted: Sequence[FederationRelationship], verb: str) -> None:
    """Those done before those refused, which the server does not repeat, as SPIRE prints them."""
    for result in results:
        if not result.status.code:
            typer.echo("")
            print_relationship(result.federation_relationship)
    refused = [(result.status, one) for result, one in zip(results, wanted, strict=True) if result.status.code]
    for status, one in refused:
        typer.echo("")
        typer.echo(f"Failed to {verb} the following federation relationship {why(status)}:", err=True)
        print_relationship(one, err=True)
    if refused:
        typer.echo(f"Error: failed to {verb} one or more federation relationships", err=True)
