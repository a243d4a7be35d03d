"""`assay x509`: X.509-SVIDs for those that no agent serves."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from assay.bundle import pem
from assay.bundle.bundle import X509Authority
from assay.cli.admin import TIMEOUT, connect, run
from assay.cli.options import AdminSocketOption, Output, OutputOption
from assay.cli.output import print_json
from assay.clock import SystemClock
from assay.crypto import csr
from assay.crypto.keys import generate, to_pem, to_pkcs8
from assay.errors import UnavailableError
from assay.keymanager.base import KeyType, SigningKey
from assay.sockets import ADMIN_SOCKET
from assay.spiffeid import SpiffeId
from assay.wire.service import bundle_stub, svid_stub
from assay_proto.spire.api.server.bundle.v1.bundle_pb2 import GetBundleRequest
from assay_proto.spire.api.server.svid.v1.svid_pb2 import MintX509SVIDRequest
from assay_server.cli.mint import SpiffeIdOption, TtlOption, save_private, save_public, warn_if_capped, whole_seconds

app = typer.Typer(add_completion=False, no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class Minted:
    """Certificates as DER, the chain's leaf first; `expires_at` in Unix seconds."""

    chain: tuple[bytes, ...]
    authorities: tuple[bytes, ...]
    expires_at: int


@app.callback()
def group() -> None:
    """Mint X.509-SVIDs."""


@app.command(epilog="Example: assay x509 mint --spiffe-id spiffe://example.org/web --dns web.example.org --write .")
def mint(
    *,
    spiffe_id: SpiffeIdOption,
    dns: Annotated[
        list[str] | None, typer.Option(help="A DNS name that it has; more than once.", metavar="NAME")
    ] = None,
    ttl: TtlOption = "0",
    write: Annotated[
        Path | None,
        typer.Option(help="Write svid.pem, key.pem and bundle.pem here, and print no key.", metavar="DIR"),
    ] = None,
    socket_path: AdminSocketOption = ADMIN_SOCKET,
    output: OutputOption = Output.PRETTY,
) -> None:
    """Have the server sign an X.509-SVID for a new key, which is made here and never leaves this command.

    Nothing renews it. The key is EC P-256; without --write it is printed.
    """
    key = generate(KeyType.EC_P256)
    uri = x509.UniformResourceIdentifier(str(SpiffeId.parse(spiffe_id)))
    request = csr.create(key, None, uri, *(x509.DNSName(name) for name in dns or []))
    seconds = whole_seconds(ttl)
    asked = SystemClock().now()
    minted = run(_mint(socket_path, MintX509SVIDRequest(csr=request, ttl=seconds)))
    warn_if_capped("X509-SVID", seconds, minted.expires_at, asked)
    if write is not None:
        _write(minted, key, write, output)
    elif output is Output.JSON:
        encoded = {"x509_svid": _base64(minted.chain), "private_key": _base64([to_pkcs8(key)])[0]}
        print_json({**encoded, "root_cas": _base64(minted.authorities)})
    else:
        typer.echo(f"X509-SVID:\n{_pem(minted.chain).decode()}")
        typer.echo(f"Private key:\n{to_pem(key).decode()}")
        typer.echo(f"Root CAs:\n{_pem(minted.authorities).decode()}")


def _write(minted: Minted, key: SigningKey, folder: Path, output: Output) -> None:
    svid, private, bundle = (folder / name for name in ("svid.pem", "key.pem", "bundle.pem"))
    save_public(svid, _pem(minted.chain))
    save_private(private, to_pem(key))
    save_public(bundle, _pem(minted.authorities))
    if output is Output.JSON:
        print_json({"x509_svid_path": str(svid), "private_key_path": str(private), "root_cas_path": str(bundle)})
        return
    typer.echo(f"X509-SVID written to {svid}")
    typer.echo(f"Private key written to {private}")
    typer.echo(f"Root CAs written to {bundle}")


def _pem(ders: Sequence[bytes]) -> bytes:
    return pem.emit(map(X509Authority, ders))


def _base64(ders: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(der).decode() for der in ders]


async def _mint(socket_path: Path, request: MintX509SVIDRequest) -> Minted:
    async with connect(socket_path) as channel:
        svid = (await svid_stub(channel).MintX509SVID(request, timeout=TIMEOUT)).svid
        bundle = await bundle_stub(channel).GetBundle(GetBundleRequest(), timeout=TIMEOUT)
    authorities = tuple(one.asn1 for one in bundle.x509_authorities)
    if not svid.cert_chain or not authorities:
        raise UnavailableError("the server answered without certificates")
    return Minted(tuple(svid.cert_chain), authorities, svid.expires_at)
