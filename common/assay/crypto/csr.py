"""Certificate signing requests (PKCS #10): what is kept of one is its public key and, for minting, names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from assay.batch import each
from assay.crypto import der as asn1
from assay.crypto.certificate import DAMAGE
from assay.crypto.keys import PublicKey, accepted, is_canonical_p256, signature_hash, to_pkix
from assay.crypto.signing import Signing
from assay.errors import AssayError, InvalidArgumentError
from assay.keymanager.base import SigningKey

_INSECURE = frozenset({MD5, SHA1})
_ECDSA: Mapping[type[HashAlgorithm], ECDSA] = {digest: ECDSA(digest()) for digest in (SHA256, SHA384, SHA512)}
_VERSION = asn1.integer(0)
_NO_NAME = asn1.sequence()
_NO_ATTRIBUTES = asn1.element(0xA0, b"")
_PUBLIC_KEY = 2


class SignatureError(InvalidArgumentError):
    """The request was not signed by the key it carries; `reason` is how Go's library says so, which SPIRE repeats."""

    def __init__(self, reason: str, *, hint: str) -> None:
        super().__init__(f"invalid CSR signature: {reason}", hint=hint)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """A request whose signature holds. Nothing of it is copied into a certificate without a rule that says so.

    `pkix` is the public key as a certificate is to carry it (SubjectPublicKeyInfo DER).
    """

    public_key: PublicKey
    pkix: bytes = field(repr=False)
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
    return _verified(_read(der))


def parse_each(requests: Iterable[bytes | AssayError]) -> list[SigningRequest | AssayError]:
    """As `parse` for each of a batch, in order; what was refused before stays so."""
    return each(_verified, each(_read, requests))


def _read(der: bytes) -> SigningRequest:
    if not der:
        raise InvalidArgumentError("missing CSR")
    try:
        request = x509.load_der_x509_csr(der)
        public_key = request.public_key()
    except DAMAGE as error:
        raise InvalidArgumentError(f"malformed CSR: {error}") from None
    key = _accepted(public_key)
    return SigningRequest(key, _pkix(request.tbs_certrequest_bytes, key), request)


def _pkix(body: bytes, key: PublicKey) -> bytes:
    # What stands there is taken only where it could not stand differently: a point may come compressed, say.
    found = asn1.part(asn1.contents(body), _PUBLIC_KEY)
    return found if is_canonical_p256(found) else to_pkix(key)


def _accepted(public_key: object) -> PublicKey:
    try:
        return accepted(public_key)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"malformed CSR: {error.message}", hint=error.hint) from None


def _verified(read: SigningRequest) -> SigningRequest:
    request, key = read.request, read.public_key
    try:
        algorithm = request.signature_hash_algorithm
        if type(algorithm) in _INSECURE:
            raise SignatureError("insecure hash algorithm", hint="sign with SHA-256")
        if isinstance(key, EllipticCurvePublicKey) and algorithm is not None:
            # A third quicker than is_signature_valid, which takes the key out of the request once more.
            scheme = _ECDSA.get(type(algorithm)) or ECDSA(algorithm)
            key.verify(request.signature, request.tbs_certrequest_bytes, scheme)
            return read
        valid = request.is_signature_valid
    except (*DAMAGE, InvalidSignature):
        valid = False
    if not valid:
        raise SignatureError(_failure(key), hint="sign the request with the key it carries")
    return read


def _failure(key: PublicKey) -> str:
    if isinstance(key, RSAPublicKey):
        return "crypto/rsa: verification error"
    return f"x509: {'ECDSA' if isinstance(key, EllipticCurvePublicKey) else 'Ed25519'} verification failure"


def create(key: SigningKey, subject: x509.Name | None = None, *names: x509.GeneralName) -> bytes:
    """A request (DER) for that key; an agent needs neither subject nor names, the server knows them."""
    if subject is None and not names:
        body = asn1.sequence(_VERSION, _NO_NAME, to_pkix(key.public_key()), _NO_ATTRIBUTES)
        return Signing.by(key).signed(body)
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject or x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, signature_hash(key)).public_bytes(Encoding.DER)
