"""What the Workload API answered, printed as SPIRE prints it and as JSON, and written to files."""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from assay.cli.output import count_of, go_time, printable
from assay.errors import InvalidArgumentError
from assay.files import write_private
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import X509Svid
from assay.workloadapi.values import HintedJwtSvid, HintedWitSvid, HintedX509Svid, X509Context

PUBLIC = 0o644


def print_x509(context: X509Context, seconds: float) -> None:
    """Each SVID with its times and those of its CAs."""
    typer.echo(f"Received {count_of(len(context.svids), 'svid', 'svids')} after {seconds * 1000:.3f}ms\n")
    for one in context.svids:
        _print_svid(one)
        for trust_domain, bundle in _bundles_of(context, one.svid):
            prefix = "" if trust_domain == one.svid.spiffe_id.trust_domain else f"[{trust_domain.id}] "
            for number, der in enumerate(bundle, 1):
                _print_times(f"{prefix}CA #{number}", x509.load_der_x509_certificate(der))
        typer.echo("")


def x509_dict(context: X509Context) -> dict[str, object]:
    """The response's message as SPIRE writes JSON. It holds private keys."""
    own = {one.svid.spiffe_id.trust_domain for one in context.svids}
    return {
        "svids": [_svid_dict(context, one) for one in context.svids],
        "crl": [],
        "federated_bundles": {
            str(domain.id): _base64(b"".join(bundle)) for domain, bundle in context.bundles.items() if domain not in own
        },
    }


def write_x509(context: X509Context, folder: Path) -> list[Path]:
    """Write svid.N.pem, svid.N.key, bundle.N.pem and federated_bundle.N.M.pem; what was written.

    Raises:
        OSError: the folder is not there or not writable.
    """
    written: list[Path] = []
    for number, one in enumerate(context.svids):
        (own, bundle), *others = _bundles_of(context, one.svid)
        del own
        written += [
            _write_public(folder / f"svid.{number}.pem", one.svid.chain_pem()),
            _write_key(folder / f"svid.{number}.key", one.svid.key_pem()),
            _write_public(folder / f"bundle.{number}.pem", _pem(bundle)),
        ]
        for other, (_, certificates) in enumerate(others):
            written.append(_write_public(folder / f"federated_bundle.{number}.{other}.pem", _pem(certificates)))
    return written


def print_jwt(svids: Iterable[HintedJwtSvid], bundles: Mapping[TrustDomain, bytes]) -> None:
    """Each token and the keys to check it with."""
    for one in svids:
        _print_token(one.spiffe_id, one.token, one.hint)
    for trust_domain, document in bundles.items():
        typer.echo(f"bundle({trust_domain.id}):\n\t{_compact(document)}")


def jwt_list(svids: Iterable[HintedJwtSvid], bundles: Mapping[TrustDomain, bytes]) -> list[dict[str, object]]:
    """Both responses' messages as SPIRE writes JSON."""
    tokens = [{"spiffe_id": str(one.spiffe_id), "svid": one.token, "hint": one.hint} for one in svids]
    return [{"svids": tokens}, {"bundles": {str(domain.id): _base64(data) for domain, data in bundles.items()}}]


def print_wit(svids: Iterable[HintedWitSvid], bundles: Mapping[TrustDomain, str]) -> None:
    """Each token without its private key, and the keys to check it with."""
    for one in svids:
        _print_token(one.spiffe_id, one.svid.token, one.hint)
    for trust_domain, document in bundles.items():
        typer.echo(f"bundle({trust_domain.id}):\n\t{_compact(document)}")


def wit_list(svids: Iterable[HintedWitSvid], bundles: Mapping[TrustDomain, str]) -> list[dict[str, object]]:
    """Both responses' messages. The first holds private keys."""
    tokens = [
        {
            "spiffe_id": str(one.spiffe_id),
            "wit_svid": one.svid.token,
            "wit_svid_key": _private_jwk(one),
            "hint": one.hint,
        }
        for one in svids
    ]
    return [{"svids": tokens}, {"bundles": {str(domain.id): text for domain, text in bundles.items()}}]


def write_wit(svids: Iterable[HintedWitSvid], folder: Path) -> list[Path]:
    """Write wit.N.token and wit.N.key; what was written.

    Raises:
        OSError: the folder is not there or not writable.
    """
    written: list[Path] = []
    for number, one in enumerate(svids):
        written.append(_write_public(folder / f"wit.{number}.token", one.svid.token.encode()))
        written.append(_write_key(folder / f"wit.{number}.key", _private_jwk(one).encode()))
    return written


def _private_jwk(one: HintedWitSvid) -> str:
    from assay.svid import witkey  # noqa: PLC0415 - only for this

    if one.svid.key is None:
        raise InvalidArgumentError("WIT-SVID has no private key")
    return witkey.emit(one.svid.key, one.svid.algorithm)


def _print_token(spiffe_id: SpiffeId, token: str, hint: str) -> None:
    typer.echo(f"token({spiffe_id}):\n\t{token}")
    if hint:
        typer.echo(f"hint({spiffe_id}):\n\t{printable(hint)}")


def _print_svid(one: HintedX509Svid) -> None:
    typer.echo(f"SPIFFE ID:\t\t{one.svid.spiffe_id}")
    if one.hint:
        typer.echo(f"Hint:\t\t\t{printable(one.hint)}")
    leaf, *intermediates = (x509.load_der_x509_certificate(der) for der in one.svid.chain)
    _print_times("SVID", leaf)
    for number, certificate in enumerate(intermediates, 1):
        _print_times(f"Intermediate #{number}", certificate)


def _print_times(what: str, certificate: x509.Certificate) -> None:
    typer.echo(f"{what} Valid After:\t{go_time(int(certificate.not_valid_before_utc.timestamp()))}")
    typer.echo(f"{what} Valid Until:\t{go_time(int(certificate.not_valid_after_utc.timestamp()))}")


def _bundles_of(context: X509Context, svid: X509Svid) -> list[tuple[TrustDomain, Sequence[bytes]]]:
    """The SVID's own bundle, then the others by name."""
    own = svid.spiffe_id.trust_domain
    others = sorted((domain, bundle) for domain, bundle in context.bundles.items() if domain != own)
    return [(own, context.bundles[own]), *others]


def _svid_dict(context: X509Context, one: HintedX509Svid) -> dict[str, object]:
    return {
        "spiffe_id": str(one.svid.spiffe_id),
        "x509_svid": _base64(b"".join(one.svid.chain)),
        "x509_svid_key": _base64(one.svid.key_pkcs8),
        "bundle": _base64(b"".join(context.bundles[one.svid.spiffe_id.trust_domain])),
        "hint": one.hint,
    }


def _write_public(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    path.chmod(PUBLIC)
    return path


def _write_key(path: Path, data: bytes) -> Path:
    write_private(path, data)
    return path


def _pem(certificates: Iterable[bytes]) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _compact(document: bytes | str) -> str:
    return json.dumps(json.loads(document))
