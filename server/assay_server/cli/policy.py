"""`assay policy`: the rules by which governed identities get what they ask for."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.admin import TIMEOUT
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import count_of, print_json, print_message, printable
from assay.errors import InvalidArgumentError
from assay.sockets import ADMIN_SOCKET
from assay_proto.policy.v1 import policy_pb2 as pb
from assay_server.cli.policyclient import LONG, all_bundles, ask
from assay_server.cli.policyfolder import read_folder, read_key, write_folder
from assay_server.cli.policyform import print_bundle, print_bundles, print_changes, print_explained, print_results
from assay_server.model.governed.policybundle import PolicyBundle
from assay_server.policy.check import checked, faults_of
from assay_server.policy.engine import SCHEMA_VERSION, bundle_digest, compiled, shipped_text
from assay_server.policy.golden import cases_of
from assay_server.policy.golden import run as run_cases
from assay_server.policy.signature import Signed, sign

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Write, check, push, roll back and explain the policies of governed identities.",
)

FolderArgument = Annotated[Path, typer.Argument(help="Folder with *.cedar and tests.toml.", metavar="DIR")]


@app.command(epilog="Example: assay policy init ./policies")
def init(folder: FolderArgument, *, output: OutputOption = Output.PRETTY) -> None:
    """Start a folder of policies with the shipped set, its golden table and the schema."""
    written = write_folder(folder)
    if output is Output.JSON:
        print_json({"folder": str(folder), "files": written})
        return
    typer.echo(f"Wrote {', '.join(written)} to {folder}.")
    typer.echo(f"Next: add a rule, then `assay policy validate {folder}` and `assay policy test {folder}`.")


@app.command(epilog="Example: assay policy validate ./policies")
def validate(folder: FolderArgument, *, output: OutputOption = Output.PRETTY) -> None:
    """Look for typos, unknown names and what is below the floor; needs no server."""
    read = read_folder(folder)
    faults = faults_of(read.files)
    policies = 0 if faults else len(compiled(_bundle(read.files, read.tests)).rules)
    if output is Output.JSON:
        told = [{"file": one.file, "line": one.line, "message": one.message, "hint": one.hint} for one in faults]
        print_json({"valid": not faults, "faults": told})
    elif not faults:
        both = f"{count_of(len(read.files), 'file', 'files')}, {policies} policies with the floor's"
        typer.echo(f"Valid: {both}.")
    else:
        for fault in faults:
            typer.echo(f"Error: {printable(str(fault))}", err=True)
    if faults:
        raise typer.Exit(1)


@app.command("test", epilog="Example: assay policy test ./policies")
def run_table(folder: FolderArgument, *, output: OutputOption = Output.PRETTY) -> None:
    """Run the golden table, tests.toml; needs no server."""
    read = read_folder(folder)
    checked(read.files)
    if not read.tests:
        raise InvalidArgumentError(f"{folder} has no tests.toml", hint="docs/policy.md shows how a case is written")
    results = list(run_cases(compiled(_bundle(read.files, read.tests)), cases_of(read.tests)))
    print_results(results, output)
    if any(each.wrong for each in results):
        raise typer.Exit(1)


@app.command(epilog="Example: assay policy diff ./policies")
def diff(
    folder: FolderArgument, *, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY
) -> None:
    """Say which live tasks would be answered otherwise by these policies; nothing changes."""
    read = read_folder(folder)
    request = pb.DiffRequest(files=read.files, tests=read.tests)
    answer = ask(socket_path, lambda stub: stub.Diff(request, timeout=LONG))
    print_message(answer) if output is Output.JSON else print_changes(answer)


@app.command(epilog="Example: assay policy push ./policies --key ./policy-key.pem")
def push(
    folder: FolderArgument,
    *,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Private key (PEM) to sign with, in place of the server's.", metavar="FILE"),
    ] = None,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Make these policies the newest version, and live. They are validated and tested first."""
    read = read_folder(folder)
    signature = "" if key is None else _signed(key, _bundle(read.files, read.tests), socket_path)
    request = pb.PushRequest(files=read.files, tests=read.tests, signature=signature)
    answer = ask(socket_path, lambda stub: stub.Push(request, timeout=LONG))
    if output is Output.JSON:
        print_message(answer)
        return
    typer.echo(f"Version {answer.bundle.version} is live.")
    print_bundle(answer.bundle)


@app.command(epilog="Example: assay policy rollback 3")
def rollback(
    version: Annotated[int, typer.Argument(help="A version of before; 0 is the shipped set.", metavar="VERSION")],
    *,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Make a version live that was live before. The next push still gets a number of its own."""
    answer = ask(socket_path, lambda stub: stub.Rollback(pb.RollbackRequest(version=version), timeout=LONG))
    if output is Output.JSON:
        print_message(answer)
    else:
        typer.echo(f"Version {answer.bundle.version} is live again, in place of version {answer.previous_version}.")


@app.command(epilog="Example: assay policy show 3")
def show(
    version: Annotated[int | None, typer.Argument(help="A version; the live one if not named.")] = None,
    *,
    floor: Annotated[bool, typer.Option("--floor", help="Show what holds under every set; needs no server.")] = False,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Show a version of the policies with their texts."""
    if floor:
        text = shipped_text("floor.cedar")
        print_json({"floor.cedar": text}) if output is Output.JSON else typer.echo(text, nl=False)
        return
    if version is None:
        live = ask(socket_path, lambda stub: stub.Live(pb.LiveRequest(), timeout=TIMEOUT))
        if live.unusable:
            typer.echo(f"Error: {printable(live.unusable)}; every decision is refused", err=True)
        bundle = live.bundle
    else:
        bundle = ask(socket_path, lambda stub: stub.Get(pb.GetRequest(version=version), timeout=TIMEOUT))
    print_message(bundle) if output is Output.JSON else print_bundle(bundle)


@app.command("list", epilog="Example: assay policy list --output json")
def list_versions(*, socket_path: AdminSocketOption = ADMIN_SOCKET, output: OutputOption = Output.PRETTY) -> None:
    """List the versions that were pushed, and which is live."""
    print_bundles(ask(socket_path, all_bundles), output)


@app.command(epilog="Example: assay policy explain dec_01K9ZQ8Y3V5M2N7R4T6W8X0Z1B")
def explain(
    decision_id: Annotated[str, typer.Argument(help="Its ID, which refusals name.", metavar="DECISION_ID")],
    *,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Say by which policies something was decided, of which inputs, and decide it again."""
    request = pb.ExplainRequest(decision_id=decision_id)
    answer = ask(socket_path, lambda stub: stub.Explain(request, timeout=TIMEOUT))
    print_message(answer) if output is Output.JSON else print_explained(answer)


def _bundle(files: dict[str, str], tests: str) -> PolicyBundle:
    return PolicyBundle(0, bundle_digest(files, tests), SCHEMA_VERSION, files, tests)


def _signed(key: Path, bundle: PolicyBundle, socket_path: Path) -> str:
    signer = read_key(key)
    live = ask(socket_path, lambda stub: stub.Live(pb.LiveRequest(), timeout=TIMEOUT))
    return sign(signer, Signed(bundle.digest, live.highest_version + 1, bundle.schema_version))
