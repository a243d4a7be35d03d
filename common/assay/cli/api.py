"""`assay api`: the Workload API as a workload sees it."""

import os
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

import typer

from assay.cli import apitask
from assay.cli.admin import check_listening, run
from assay.cli.options import Output, OutputOption
from assay.cli.output import print_json
from assay.cli.workloads import jwt_list, print_jwt, print_wit, print_x509, wit_list, write_wit, write_x509, x509_dict
from assay.config.duration import parse_duration
from assay.errors import AssayError, InvalidArgumentError, PermissionDeniedError, UnavailableError
from assay.sockets import WORKLOAD_SOCKET
from assay.spiffeid import SpiffeId, TrustDomain
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay.workloadapi.address import ENVIRONMENT
from assay.workloadapi.values import HintedJwtSvid, HintedWitSvid, ValidatedJwt, X509Context

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Ask the Workload API, as a workload does.")
fetch = typer.Typer(no_args_is_help=True, help="Fetch SVIDs.")
validate = typer.Typer(no_args_is_help=True, help="Have the agent check an SVID.")
app.add_typer(fetch, name="fetch")
app.add_typer(validate, name="validate")
app.add_typer(apitask.app, name="task")

SocketOption = Annotated[
    str, typer.Option("--socket-path", envvar=ENVIRONMENT, help="The agent's socket.", metavar="PATH")
]
TimeoutOption = Annotated[str, typer.Option(help="How long to wait for an answer.", metavar="DURATION")]
AudienceOption = Annotated[list[str], typer.Option(help="Whom the token is for; comma separated, or more than once.")]

DEFAULT_SOCKET = str(WORKLOAD_SOCKET)
DEFAULT_TIMEOUT = "5s"


@fetch.command("x509", epilog="Example: assay api fetch x509 --write /run/web")
def fetch_x509(
    *,
    silent: Annotated[bool, typer.Option("--silent", help="Print nothing.")] = False,
    write: Annotated[Path | None, typer.Option(help="Write SVIDs, keys and bundles here.", metavar="DIR")] = None,
    timeout: TimeoutOption = DEFAULT_TIMEOUT,
    socket_path: SocketOption = DEFAULT_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Fetch the X.509-SVIDs of this process."""
    begun = time.monotonic()
    context = run(_fetch_x509(socket_path, _seconds(timeout)))
    if output is Output.JSON and not silent:
        print_json(x509_dict(context))
    elif not silent:
        print_x509(context, time.monotonic() - begun)
    if write is not None:
        _written(lambda: write_x509(context, write), write, silent=silent or output is Output.JSON)


@fetch.command("jwt", epilog="Example: assay api fetch jwt --audience db")
def fetch_jwt(
    *,
    audience: AudienceOption,
    spiffe_id: Annotated[str, typer.Option("--spiffe-id", help="Only for this identity.", metavar="ID")] = "",
    timeout: TimeoutOption = DEFAULT_TIMEOUT,
    socket_path: SocketOption = DEFAULT_SOCKET,
    output: Annotated[Output, typer.Option("--output", "-o", "--format", help="How to print.")] = Output.PRETTY,
) -> None:
    """Fetch JWT-SVIDs for this process."""
    wanted = SpiffeId.parse(spiffe_id) if spiffe_id else None
    audiences = [one for text in audience for one in text.split(",") if one]
    svids, bundles = run(_fetch_jwt(socket_path, audiences, wanted, _seconds(timeout)))
    if output is Output.JSON:
        print_json(jwt_list(svids, bundles))
    else:
        print_jwt(svids, bundles)


@fetch.command("wit", epilog="Example: assay api fetch wit --write /run/web")
def fetch_wit(
    *,
    spiffe_id: Annotated[str, typer.Option("--spiffe-id", help="Only for this identity.", metavar="ID")] = "",
    write: Annotated[
        Path | None, typer.Option(help="Write tokens and keys here: wit.0.token, wit.0.key and so on.", metavar="DIR")
    ] = None,
    timeout: TimeoutOption = DEFAULT_TIMEOUT,
    socket_path: SocketOption = DEFAULT_SOCKET,
    output: Annotated[Output, typer.Option("--output", "-o", "--format", help="How to print.")] = Output.PRETTY,
) -> None:
    """Fetch the WIT-SVIDs of this process. Their private keys are in the JSON and the files alone."""
    wanted = SpiffeId.parse(spiffe_id) if spiffe_id else None
    svids, bundles = run(_fetch_wit(socket_path, wanted, _seconds(timeout)))
    if output is Output.JSON:
        print_json(wit_list(svids, bundles))
    else:
        print_wit(svids, bundles)
    if write is not None:
        _written(lambda: write_wit(svids, write), write, silent=output is Output.JSON)


@validate.command("jwt", epilog="Example: assay api validate jwt --audience db --svid TOKEN")
def validate_jwt(
    *,
    audience: Annotated[str, typer.Option(help="Whom the token must be for.")],
    svid: Annotated[str, typer.Option(help="The token.")],
    timeout: TimeoutOption = DEFAULT_TIMEOUT,
    socket_path: SocketOption = DEFAULT_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Have the agent check a JWT-SVID; status 1 if it is not valid."""
    found = run(_validate_jwt(socket_path, audience, svid, _seconds(timeout)))
    if output is Output.JSON:
        print_json({"spiffe_id": str(found.spiffe_id), "claims": dict(found.claims)})
        return
    typer.echo("SVID is valid.")
    typer.echo(f"SPIFFE ID : {found.spiffe_id}")
    typer.echo("Claims    : ", nl=False)
    print_json(dict(found.claims))


@app.command(epilog="Example: assay api watch --output json")
def watch(*, socket_path: SocketOption = DEFAULT_SOCKET, output: OutputOption = Output.PRETTY) -> None:
    """Print the X.509-SVIDs of this process now and whenever they change, until interrupted."""
    run(_watch(socket_path, output))


def _written(write: Callable[[], Sequence[Path]], folder: Path, *, silent: bool) -> None:
    try:
        written = write()
    except OSError as error:
        raise InvalidArgumentError(f"cannot write to {folder}: {error.strerror}") from None
    if not silent:
        for path in written:
            typer.echo(f"Wrote {path}")


def _seconds(text: str) -> float:
    try:
        return float(parse_duration(f"{text}s" if text.isdigit() else text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeout") from None


@asynccontextmanager
async def _client(socket: str) -> AsyncGenerator[WorkloadApiClient]:
    """A client of that socket, given as a path or as an endpoint's URI; refusals get a hint."""
    endpoint = Endpoint.parse(socket) if socket.startswith(("unix:", "tcp:")) else Endpoint.of_path(Path(socket))
    if endpoint.target.startswith("unix:"):
        path = Path(unquote(endpoint.target.removeprefix("unix:")))
        check_listening(path, "agent", "start one with `assay agent run`")
    try:
        async with WorkloadApiClient(endpoint) as client:
            yield client
    except PermissionDeniedError as error:
        register = f"assay entry create --selector unix:uid:{os.getuid()} --spiffe-id ... --parent-id ..."
        why = f"`assay explain --uid {os.getuid()}` says why"
        raise PermissionDeniedError(error.message, hint=f"register this process: {register}; {why}") from None
    except AssayError as error:
        if error.message == "Deadline Exceeded":
            raise UnavailableError("no answer in time", hint="wait longer with --timeout") from None
        raise


async def _fetch_x509(socket: str, within: float) -> X509Context:
    async with _client(socket) as client:
        return await client.fetch_x509(within=within)


async def _fetch_jwt(
    socket: str, audience: Sequence[str], wanted: SpiffeId | None, within: float
) -> tuple[tuple[HintedJwtSvid, ...], Mapping[TrustDomain, bytes]]:
    async with _client(socket) as client:
        svids = await client.fetch_jwt(audience, wanted, within=within)
        async with aclosing(client.watch_jwt_bundles(within=within)) as updates:
            async for bundles in updates:
                return svids, bundles
    raise UnavailableError("the Workload API ended the stream without a response")


async def _fetch_wit(
    socket: str, wanted: SpiffeId | None, within: float
) -> tuple[tuple[HintedWitSvid, ...], Mapping[TrustDomain, str]]:
    async with _client(socket) as client:
        svids = await client.fetch_wit(wanted, within=within)
        async with aclosing(client.watch_wit_bundles(within=within)) as updates:
            async for bundles in updates:
                return svids, bundles
    raise UnavailableError("the Workload API ended the stream without a response")


async def _validate_jwt(socket: str, audience: str, token: str, within: float) -> ValidatedJwt:
    async with _client(socket) as client:
        try:
            return await client.validate_jwt(audience, token, within=within)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"SVID is not valid: {error.message}") from None


async def _watch(socket: str, output: Output) -> None:
    begun = time.monotonic()
    async with _client(socket) as client, aclosing(client.watch_x509()) as updates:
        async for context in updates:
            if output is Output.JSON:
                print_json(x509_dict(context))
            else:
                print_x509(context, time.monotonic() - begun)
            begun = time.monotonic()
