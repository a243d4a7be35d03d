"""`assay api task`: tasks as a workload has them, to try by hand."""

import hashlib
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import unquote

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from assay.bundle import jwk
from assay.cli.admin import check_listening, run
from assay.cli.options import Output, OutputOption
from assay.cli.output import go_time, print_json
from assay.cli.taking import taking
from assay.cli.tasks import CallFlags, TaskFlags, TaskOption, allowed, plain, print_decision, print_line, print_task
from assay.errors import InvalidArgumentError, PermissionDeniedError
from assay.sockets import WORKLOAD_SOCKET
from assay.workloadapi.address import ENVIRONMENT, Endpoint
from assay.workloadapi.tasks import OpenedTask, TaskClient
from assay_proto.task.v1 import task_pb2 as pb

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Open and end tasks of this process, and get tokens for them.")

SocketOption = Annotated[
    str, typer.Option("--socket-path", envvar=ENVIRONMENT, help="The agent's socket.", metavar="PATH")
]
DEFAULT_SOCKET = str(WORKLOAD_SOCKET)
TIMEOUT = 30.0


@app.command(
    "open",
    epilog='Example: assay api task open --goal "answer ticket 7" --allow https://crm/mcp=crm.read --lasting 10m',
)
@taking(TaskFlags)
def open_task(
    flags: TaskFlags,
    *,
    principal: Annotated[
        str, typer.Option(help="Which one, where this process is several principals.", metavar="NAME")
    ] = "",
    socket_path: SocketOption = DEFAULT_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Open a task for this process."""
    request = flags.request()
    request.principal = principal
    print_task(
        _ask(socket_path, lambda client: client.send_open(request, within=TIMEOUT)).message, output, "Task opened."
    )


@app.command(epilog="Example: assay api task show --id tsk_01J9ZQ8Y3V0000000000000000")
def show(*, task: TaskOption, socket_path: SocketOption = DEFAULT_SOCKET, output: OutputOption = Output.PRETTY) -> None:
    """Show a task of this process."""
    print_task(_ask(socket_path, lambda client: client.get(task, within=TIMEOUT)).message, output)


@app.command("list", epilog="Example: assay api task list --output json")
def list_tasks(*, socket_path: SocketOption = DEFAULT_SOCKET, output: OutputOption = Output.PRETTY) -> None:
    """List the tasks of this process that have not ended."""
    found = _ask(socket_path, lambda client: client.list(within=TIMEOUT))
    if output is Output.JSON:
        print_json({"tasks": [plain(one.message) for one in found]})
        return
    for one in found:
        print_line(one.message)


@app.command(
    epilog="Example: assay api task credential --id tsk_01J9ZQ8Y3V0000000000000000 --audience https://crm/mcp "
    "--certificate svid.0.pem"
)
def credential(
    *,
    task: TaskOption,
    audience: Annotated[str, typer.Option(help="The resource that the token is for.", metavar="URI")],
    action: Annotated[list[str] | None, typer.Option(help="Only this tool; may be given more than once.")] = None,
    ttl: Annotated[int, typer.Option(help="At most so many seconds; 0 for as long as policy lets.", min=0)] = 0,
    certificate: Annotated[
        Path | None, typer.Option(help="Bind it to this certificate (PEM), for mutual TLS.", metavar="FILE")
    ] = None,
    jkt: Annotated[str, typer.Option(help="Bind it to the key with this JWK thumbprint, for DPoP.")] = "",
    socket_path: SocketOption = DEFAULT_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Get a token for one resource of a task. It is printed: whoever has it and the key can use it."""
    bound = thumbprint(certificate) if certificate is not None else ""
    found = _ask(
        socket_path,
        lambda client: client.credential(
            task, audience, actions=action or (), ttl=ttl, jkt=jkt, x5t_s256=bound, within=TIMEOUT
        ),
    )
    if output is Output.JSON:
        print_json({"token": found.token, "jti": found.jti, "expires_at": found.expires_at})
        return
    typer.echo(f"Until {go_time(found.expires_at)} ({found.jti}):\n{found.token}")


@app.command(epilog="Example: assay api task decide --id tsk_01J9ZQ8Y3V0000000000000000 --action crm.read")
@taking(CallFlags)
def decide(
    flags: CallFlags,
    *,
    key_proved: Annotated[
        bool, typer.Option("--key-proved", help="As a verifier: the proof of the token's key was seen.")
    ] = False,
    socket_path: SocketOption = DEFAULT_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Ask whether a call may be made, and count it if so: of this process, or with a token for what it guards."""
    request = flags.request()
    request.key_proved = key_proved
    print_decision(_ask(socket_path, lambda client: client.send_decide(request, within=TIMEOUT)), output)


@app.command(
    epilog="Example: assay api task narrow --id tsk_01J9ZQ8Y3V0000000000000000 --allow https://crm/mcp=crm.read"
)
def narrow(
    *,
    task: TaskOption,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="All that it may still do; may be given more than once.", metavar="RESOURCE=TOOL,..."),
    ] = None,
    ends_at: Annotated[int | None, typer.Option(help="An earlier end, in Unix seconds.", metavar="SECONDS")] = None,
    socket_path: SocketOption = DEFAULT_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Leave a task of this process less; tokens with more are revoked."""
    request = pb.NarrowRequest(task_id=task)
    if allow:
        request.authorization_details = allowed(allow)
    if ends_at is not None:
        request.ends_at = ends_at
    found = _ask(socket_path, lambda client: client.send_narrow(request, within=TIMEOUT))
    print_task(found.message, output, "Task narrowed.")


@app.command(epilog="Example: assay api task complete --id tsk_01J9ZQ8Y3V0000000000000000")
def complete(
    *, task: TaskOption, socket_path: SocketOption = DEFAULT_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """End a task of this process as done."""
    print_task(_ask(socket_path, lambda one: one.complete(task, within=TIMEOUT)).message, output, "Task completed.")


@app.command(epilog="Example: assay api task heartbeat --id tsk_01J9ZQ8Y3V0000000000000000")
def heartbeat(
    *, task: TaskOption, socket_path: SocketOption = DEFAULT_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Say that a task is at work."""
    print_task(_ask(socket_path, lambda one: one.heartbeat(task, within=TIMEOUT)).message, output, "Heartbeat noted.")


@app.command(epilog="Example: assay api task watch --output json")
def watch(*, socket_path: SocketOption = DEFAULT_SOCKET, output: OutputOption = Output.PRETTY) -> None:
    """Print the tasks of this process, and each whenever it changes, until interrupted."""
    run(_watch(socket_path, output))


def thumbprint(certificate: Path) -> str:
    """SHA-256 of a certificate as RFC 8705 writes it (InvalidArgumentError: there is none in that file)."""
    try:
        der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f"no certificate in {certificate}: {error}") from None
    return jwk.encode(hashlib.sha256(der).digest())


def _ask(socket: str, call: Callable[[TaskClient], Awaitable[T]]) -> T:
    async def ask() -> T:
        async with _client(socket) as client:
            return await call(client)

    return run(ask())


async def _watch(socket: str, output: Output) -> None:
    async with _client(socket) as client, aclosing(client.watch()) as updates:
        async for task in updates:
            _print_update(task, output)


def _print_update(task: OpenedTask, output: Output) -> None:
    if output is Output.JSON:
        print_json(plain(task.message))
    else:
        print_line(task.message)


@asynccontextmanager
async def _client(socket: str) -> AsyncGenerator[TaskClient]:
    """A client of that socket, given as a path or as an endpoint's URI; refusals get a hint."""
    endpoint = Endpoint.parse(socket) if socket.startswith(("unix:", "tcp:")) else Endpoint.of_path(Path(socket))
    if endpoint.target.startswith("unix:"):
        path = Path(unquote(endpoint.target.removeprefix("unix:")))
        check_listening(path, "agent", "start one with `assay agent run`")
    try:
        async with TaskClient(endpoint) as client:
            yield client
    except PermissionDeniedError as error:
        if "no identity issued" not in error.message:
            raise
        why = f"`assay explain --uid {os.getuid()}` says why"
        raise PermissionDeniedError(error.message, hint=f"bind this process to a principal; {why}") from None
