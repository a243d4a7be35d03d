"""Bundles as the command line has them: read from PEM or a SPIFFE bundle, printed as either."""

import sys
from enum import StrEnum
from pathlib import Path

import typer

from assay.bundle import Bundle, jwks, pem
from assay.errors import InvalidArgumentError
from assay.spiffeid import TrustDomain
from assay.wire import bundle as wire
from assay_proto.spire.api.types.bundle_pb2 import Bundle as BundleMessage

_BAR = "*" * 40


class Format(StrEnum):
    """How a bundle is written: CA certificates alone, or all of it as a SPIFFE bundle."""

    PEM = "pem"
    SPIFFE = "spiffe"


def parse_bundle(data: bytes, form: Format, trust_domain: str) -> BundleMessage:
    """The bundle of that trust domain.

    Raises:
        InvalidArgumentError: the trust domain's name or the text is none.
    """
    name = TrustDomain.parse(trust_domain)
    if form is Format.SPIFFE:
        return wire.to_proto(jwks.parse(name, data))
    return wire.to_proto(Bundle(name, x509_authorities=pem.parse(data)))


def read_input(name: str) -> bytes:
    """What is in a file, or comes on standard input without a name or with `-`.

    Raises:
        InvalidArgumentError: it cannot be read.
    """
    try:
        return sys.stdin.buffer.read() if name in {"", "-"} else Path(name).read_bytes()
    except OSError as error:
        raise InvalidArgumentError(f"{name} cannot be read: {error.strerror}") from None


def print_bundle(message: BundleMessage, form: Format) -> None:
    """The bundle itself, for a file."""
    bundle = wire.from_proto(message)
    if form is Format.PEM:
        typer.echo(pem.emit(bundle.x509_authorities).decode(), nl=False)
    else:
        typer.echo(jwks.emit(bundle).decode())


def print_heading(message: BundleMessage) -> None:
    """Whose bundle comes next, where several do."""
    typer.echo(f"{_BAR}\n* {message.trust_domain}\n{_BAR}")
