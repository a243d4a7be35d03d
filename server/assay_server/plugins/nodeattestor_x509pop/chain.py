"""Which certificates admit a node: chained to the operator's roots, whatever their extended key usage."""

from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.verification import (
    ClientVerifier,
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from assay.errors import InvalidArgumentError, PermissionDeniedError


def parse_chain(ders: Sequence[bytes], *, max_intermediates: int, max_rsa_bits: int) -> list[x509.Certificate]:
    """The node's certificates, leaf first; limits come before anything expensive.

    Raises:
        InvalidArgumentError: none, too many, malformed, or an RSA key that is too large.
    """
    if not ders:
        raise InvalidArgumentError("no certificate to attest")
    if len(ders) - 1 > max_intermediates:
        raise InvalidArgumentError("too many intermediate certificates")
    return [_parse(der, _name(index), max_rsa_bits) for index, der in enumerate(ders)]


class Roots:
    """The certificates that chains must end in, and the rules for chains: the same for every node."""

    def __init__(self, certificates: Sequence[x509.Certificate]) -> None:
        self._builder = (
            PolicyBuilder()
            .store(Store(list(certificates)))
            .extension_policies(ca_policy=_issuers(), ee_policy=ExtensionPolicy.permit_all())
        )

    def verifier(self, now: datetime) -> ClientVerifier:
        """Verifies as of that time."""
        return self._builder.time(now).build_client_verifier()


def verify_chain(chain: Sequence[x509.Certificate], roots: Roots, now: datetime) -> list[x509.Certificate]:
    """The chain that was found, leaf first and root last.

    Raises:
        PermissionDeniedError: expired, not chained to a root, or an issuer that may not issue.
    """
    try:
        found = roots.verifier(now).verify(chain[0], list(chain[1:])).chain
        for certificate in found:
            _refuse_unknown_critical(certificate)
    except (VerificationError, ValueError) as error:
        raise PermissionDeniedError(f"certificate verification failed: {_words(str(error))}", hint=str(error)) from None
    return found


def _words(reason: str) -> str:
    """Those of Go's library, which SPIRE passes on, for what happens: no root of ours, and too early or too late."""
    if "candidates exhausted" in reason:
        return "x509: certificate signed by unknown authority"
    if "not valid at validation time" in reason:
        return "x509: certificate has expired or is not yet valid"
    return reason


def _name(index: int) -> str:
    return "leaf certificate" if index == 0 else f"intermediate certificate {index - 1}"


def _parse(der: bytes, name: str, max_rsa_bits: int) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
    except Exception as error:  # noqa: BLE001 - the parser raises its own kinds, and nothing of the payload is trusted
        raise InvalidArgumentError(f"unable to parse {name}: x509: malformed certificate", hint=str(error)) from None
    if isinstance(key, RSAPublicKey) and key.key_size > max_rsa_bits:
        raise InvalidArgumentError(f"{name} key size too large", hint=f"at most {max_rsa_bits} bits")
    return certificate


def _issuers() -> ExtensionPolicy:
    return (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_ca)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
    )


def _is_ca(_policy: Policy, _certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("issuer is not a CA")


def _signs_certificates(_policy: Policy, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("issuer may not sign certificates")


def _refuse_unknown_critical(certificate: x509.Certificate) -> None:
    # RFC 5280, 4.2: what is critical and not understood must be refused; a policy that permits all does not.
    for extension in certificate.extensions:
        if extension.critical and isinstance(extension.value, x509.UnrecognizedExtension):
            raise ValueError(f"unhandled critical extension {extension.oid.dotted_string}")
