"""Certificate signing requests (PKCS #10): what is kept of one is its public key and, for minting, names."""

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import MD5, SHA1
from cryptography.hazmat.primitives.serialization import Encoding

from assay.crypto.certificate import DAMAGE
from assay.crypto.keys import PublicKey, accepted, signature_hash
from assay.errors import InvalidArgumentError
from assay.keymanager.base import SigningKey


class SignatureError(InvalidArgumentError):
    """The request was not signed by the key it carries."""


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """A request whose signature holds. Nothing of it is copied into a certificate without a rule that says so."""

    public_key: PublicKey
    request: x509.CertificateSigningRequest

    @property
    def subject(self) -> x509.Name:
        """The subject asked for (InvalidArgumentError when it is malformed)."""
        try:
            return self.request.subject
        except DAMAGE as error:
            raise InvalidArgumentError(f"malformed CSR: {error}") from None

    @property
    def uris(self) -> tuple[str, ...]:
        """URI names asked for."""
        return tuple(self._alternative_names(x509.UniformResourceIdentifier))

    @property
    def dns_names(self) -> tuple[str, ...]:
        """DNS names asked for."""
        return tuple(self._alternative_names(x509.DNSName))

    def _alternative_names(self, kind: type[x509.UniformResourceIdentifier] | type[x509.DNSName]) -> list[str]:
        try:
            names = self.request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return []
        except DAMAGE as error:
            raise InvalidArgumentError(f"malformed CSR: {error}") from None
        return names.value.get_values_for_type(kind)


def parse(der: bytes) -> SigningRequest:
    """Parse a request and verify that its sender holds the private key.

    Raises:
        InvalidArgumentError: missing, malformed, a weak or unknown key or hash, or a signature that does not hold.
    """
    if not der:
        raise InvalidArgumentError("missing CSR")
    try:
        request = x509.load_der_x509_csr(der)
        public_key = request.public_key()
    except DAMAGE as error:
        raise InvalidArgumentError(f"malformed CSR: {error}") from None
    key = _accepted(public_key)
    _check_signature(request, key)
    return SigningRequest(key, request)


def _accepted(public_key: object) -> PublicKey:
    try:
        return accepted(public_key)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"malformed CSR: {error.message}", hint=error.hint) from None


def _check_signature(request: x509.CertificateSigningRequest, key: PublicKey) -> None:
    try:
        algorithm = request.signature_hash_algorithm
        if isinstance(algorithm, MD5 | SHA1):
            raise SignatureError("invalid CSR signature: insecure hash algorithm", hint="sign with SHA-256")
        if isinstance(key, EllipticCurvePublicKey) and algorithm is not None:
            # A third quicker than is_signature_valid, which takes the key out of the request once more.
            key.verify(request.signature, request.tbs_certrequest_bytes, ECDSA(algorithm))
            return
        valid = request.is_signature_valid
    except (*DAMAGE, InvalidSignature):
        valid = False
    if not valid:
        raise SignatureError("invalid CSR signature", hint="sign the request with the key it carries")


def create(key: SigningKey, subject: x509.Name | None = None, *names: x509.GeneralName) -> bytes:
    """A request (DER) for that key; an agent needs neither subject nor names, the server knows them."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject or x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, signature_hash(key)).public_bytes(Encoding.DER)
