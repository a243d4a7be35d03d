"""`assay wit`: WIT-SVIDs for those that no agent serves."""

from pathlib import Path
from typing import Annotated

import typer

from assay.cli.admin import TIMEOUT, connect, run
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import print_json
from assay.clock import SystemClock
from assay.crypto.keys import generate, to_pkix
from assay.errors import UnavailableError, UnimplementedError
from assay.keymanager.base import KeyType
from assay.sockets import ADMIN_SOCKET
from assay.spiffeid import SpiffeId
from assay.svid import witkey
from assay.wire import spiffeid as wire
from assay.wire.service import svid_stub
from assay_proto.spire.api.server.svid.v1.svid_pb2 import MintWITSVIDRequest
from assay_proto.spire.api.types.witsvid_pb2 import WITSVID
from assay_server.cli.mint import SpiffeIdOption, TtlOption, save_private, warn_if_capped, whole_seconds

app = typer.Typer(add_completion=False, no_args_is_help=True)

_SWITCH = 'set experimental { feature_flags = ["wit-svid"] } in the server\'s configuration'


@app.callback()
def group() -> None:
    """Mint WIT-SVIDs."""


@app.command(epilog="Example: assay wit mint --spiffe-id spiffe://example.org/web --ttl 1h --write .")
def mint(
    *,
    spiffe_id: SpiffeIdOption,
    key_type: Annotated[KeyType, typer.Option(help="The kind of key to make.")] = KeyType.EC_P256,
    signing_algorithm: Annotated[
        str,
        typer.Option(
            help="What possession is proved by, such as PS256; that of the kind of key if not given.", metavar="ALG"
        ),
    ] = "",
    ttl: TtlOption = "0",
    write: Annotated[
        Path | None, typer.Option(help="Write token and key here, and print neither.", metavar="DIR")
    ] = None,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Have the server sign a WIT-SVID for a new key, which is made here and never leaves this command.

    Nothing renews it. Without --write the token is printed, and after it the key as a JWK.
    """
    subject = wire.to_proto(SpiffeId.parse(spiffe_id))
    key = generate(key_type)
    algorithm = signing_algorithm or witkey.algorithm_of(key)
    if not witkey.fits(key.public_key(), algorithm):
        refusal = f"unsupported key type '{key_type.value}' for signing algorithm '{algorithm}'"
        raise typer.BadParameter(refusal, param_hint="--signing-algorithm")
    seconds, public = whole_seconds(ttl), to_pkix(key.public_key())
    asked = SystemClock().now()
    request = MintWITSVIDRequest(id=subject, public_key=public, signing_algorithm=algorithm, ttl=seconds)
    svid = run(_mint(socket_path, request))
    warn_if_capped("WIT-SVID", seconds, svid.expires_at, asked)
    private = witkey.emit(key, algorithm)
    if write is not None:
        _write(svid.token, private, write, output)
    elif output is Output.JSON:
        print_json({"private_key": private, "svid": _described(svid)})
    else:
        typer.echo(svid.token)
        typer.echo(private)


def _write(token: str, key: str, folder: Path, output: Output) -> None:
    token_path, key_path = folder / "token", folder / "key"
    save_private(token_path, token.encode())
    save_private(key_path, key.encode())
    if output is Output.JSON:
        print_json({"wit_svid_path": str(token_path), "private_key_path": str(key_path)})
        return
    typer.echo(f"WIT-SVID written to {token_path}")
    typer.echo(f"Private key written to {key_path}")


def _described(svid: WITSVID) -> dict[str, object]:
    named = {"trust_domain": svid.id.trust_domain, "path": svid.id.path}
    return {"token": svid.token, "id": named, "expires_at": svid.expires_at, "issued_at": svid.issued_at}


async def _mint(socket_path: Path, request: MintWITSVIDRequest) -> WITSVID:
    try:
        async with connect(socket_path) as channel:
            answer = await svid_stub(channel).MintWITSVID(request, timeout=TIMEOUT)
    except UnimplementedError as error:
        raise UnimplementedError(error.message, hint=error.hint or _SWITCH) from None
    if not answer.svid.token:
        raise UnavailableError("the server answered without a token")
    return answer.svid
