"""The server's certificate: what it presents on its TCP port, and whether a bundle vouches for it."""

import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509

from assay.cli.doctor.finding import Finding, failed, ok
from assay.namespace import server_id
from assay.spiffeid import TrustDomain

TIMEOUT = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Presented:
    """The server's leaf (DER); empty with the `trouble` that kept it from us."""

    leaf: bytes = b""
    trouble: str = ""


def look_at_server(address: tuple[str, int]) -> Presented:
    """Shake hands without trusting anybody. Nothing is sent."""
    # Trust is what is looked into here: the handshake is ended before anything is said.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        leaf = _shake(address, context)
        x509.load_der_x509_certificate(leaf)
        return Presented(leaf)
    except ValueError:
        return Presented(trouble="what it presents is no certificate")
    except OSError as error:
        return Presented(trouble=error.strerror or str(error))


def why_untrusted(address: tuple[str, int], authorities: Sequence[bytes]) -> str:
    """Why these CA certificates (DER) do not vouch for what the server presents; empty if they do."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # SPIFFE servers are told by their ID
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=b"".join(authorities))
        _shake(address, context)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message or "certificate verify failed"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def check_reached(check: str, address: tuple[str, int], presented: Presented) -> Finding:
    """Whether a server answers there."""
    where = f"{address[0]}:{address[1]}"
    if presented.leaf:
        return ok(check, f"{where} answers with a certificate")
    advice = "see that the server runs, that the address and port are right and no firewall is between"
    return failed(check, f"no TLS server at {where}: {presented.trouble}", advice)


def check_name(check: str, leaf: bytes, trust_domain: TrustDomain) -> Finding:
    """Whether the server is the one of our trust domain."""
    wanted, found = str(server_id(trust_domain)), _ids(leaf)
    if found == [wanted]:
        return ok(check, f"is {wanted}")
    names = ", ".join(found) or "nobody"
    return failed(check, f"says that it is {names}, not {wanted}", "correct trust_domain, or the server's address")


def _shake(address: tuple[str, int], context: ssl.SSLContext) -> bytes:
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(address, timeout=TIMEOUT) as plain,
        context.wrap_socket(plain) as secured,
    ):
        return secured.getpeercert(binary_form=True) or b""


def _ids(leaf: bytes) -> list[str]:
    try:
        certificate = x509.load_der_x509_certificate(leaf)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (ValueError, x509.ExtensionNotFound):
        return []
    return names.value.get_values_for_type(x509.UniformResourceIdentifier)
