"""A trust domain for tests: authorities of its own that issue SVIDs, also wrong ones, at a time the test says.

Made with cryptography's and joserfc's builders rather than with the issuer's own code, so that tests of that code
have something independent to stand on.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from assay.bundle import Bundle, JwtAuthority, WitAuthority, X509Authority
from assay.crypto.keys import CURVE_HASHES
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import X509Svid
from assay.testing.clock import START

HOUR = 3600
Extensions = Sequence[tuple[x509.ExtensionType, bool]]


def key_usage(*usages: str) -> x509.KeyUsage:
    """A key usage extension with the named bits, such as `digital_signature`."""
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: name in usages for name in names})


def subject(common_name: str) -> x509.Name:
    """A subject with that common name; an empty subject for an empty one."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


@dataclass(frozen=True)
class Ca:
    """A signing certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(
        cls,
        name: str,
        *,
        issuer: "Ca | None" = None,
        now: datetime = START,
        lifetime: int = 24 * HOUR,
        extensions: Extensions | None = None,
    ) -> "Ca":
        """Self-signed, or signed by `issuer`; `extensions` takes the place of those of an ordinary CA."""
        key = ec.generate_private_key(ec.SECP256R1())
        signer = issuer.key if issuer else key
        signer_name = issuer.certificate.subject if issuer else subject(name)
        if extensions is None:
            extensions = ca_extensions()
        certificate = _sign(key.public_key(), subject(name), signer_name, signer, extensions, now, lifetime)
        return cls(certificate, key)

    @property
    def der(self) -> bytes:
        """The certificate as DER."""
        return self.certificate.public_bytes(Encoding.DER)

    def issue(
        self,
        extensions: Extensions,
        *,
        key: ec.EllipticCurvePrivateKey | None = None,
        name: x509.Name | None = None,
        now: datetime = START,
        lifetime: int = HOUR,
    ) -> tuple[bytes, ec.EllipticCurvePrivateKey]:
        """A certificate (DER) with just these extensions, and its key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        name = subject("leaf") if name is None else name
        issuer = self.certificate.subject
        certificate = _sign(key.public_key(), name, issuer, self.key, extensions, now, lifetime)
        return certificate.public_bytes(Encoding.DER), key


def ca_extensions(path_length: int | None = None) -> Extensions:
    """Those of an ordinary CA."""
    return [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (key_usage("key_cert_sign", "crl_sign"), True),
    ]


def leaf_extensions(*uris: str, dns_names: Sequence[str] = ()) -> Extensions:
    """Those of an ordinary leaf with these names."""
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [x509.DNSName(name) for name in dns_names]
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (key_usage("digital_signature", "key_encipherment", "key_agreement"), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        *([(x509.SubjectAlternativeName(names), False)] if names else []),
    ]


class Authority:
    """One trust domain: an X.509 root, a JWT key and, in the bundle only of a domain `wit`, a WIT key."""

    def __init__(
        self,
        trust_domain: str = "example.org",
        *,
        now: datetime = START,
        lifetime: int = 24 * HOUR,
        wit: bool = False,
    ) -> None:
        self.trust_domain = TrustDomain(trust_domain)
        self.now = now
        self.root = Ca.create(f"{trust_domain} root", now=now, lifetime=lifetime)
        self.jwt_key = ec.generate_private_key(ec.SECP256R1())
        self.jwt_key_id = f"{trust_domain}-key"
        self.wit_key = ec.generate_private_key(ec.SECP256R1())
        self.wit_key_id = f"{trust_domain}-wit-key"
        self._wit = wit

    @property
    def wit_authority(self) -> WitAuthority:
        """What WIT-SVIDs of it are verified with."""
        return WitAuthority(self.wit_key_id, _pkix(self.wit_key))

    @property
    def bundle(self) -> Bundle:
        """What others need to trust it."""
        jwt = JwtAuthority(self.jwt_key_id, _pkix(self.jwt_key))
        wit = (self.wit_authority,) if self._wit else ()
        return Bundle(self.trust_domain, (X509Authority(self.root.der),), (jwt,), sequence=1, wit_authorities=wit)

    def id(self, path: str) -> SpiffeId:
        """An ID in this trust domain."""
        return SpiffeId(self.trust_domain, path)

    def x509_svid(
        self,
        path: str = "/workload",
        *,
        now: datetime | None = None,
        lifetime: int = HOUR,
        dns_names: Sequence[str] = (),
        key: ec.EllipticCurvePrivateKey | None = None,
        issuer: Ca | None = None,
    ) -> X509Svid:
        """An X.509-SVID with its key; signed by an intermediate of this domain if one is given."""
        extensions = leaf_extensions(str(self.id(path)), dns_names=dns_names)
        signer = issuer or self.root
        leaf, key = signer.issue(extensions, key=key, now=now or self.now, lifetime=lifetime)
        return X509Svid.parse([leaf, *([issuer.der] if issuer else [])], key)

    def sign_request(self, csr: bytes, path: str, *, now: datetime | None = None, lifetime: int = HOUR) -> bytes:
        """A leaf (DER) for that path with the key of a request (DER), as a server issues it."""
        public_key = x509.load_der_x509_csr(csr).public_key()
        if not isinstance(public_key, ec.EllipticCurvePublicKey):
            raise TypeError("tests sign EC keys")
        extensions = leaf_extensions(str(self.id(path)))
        issuer = self.root.certificate.subject
        certificate = _sign(public_key, subject("leaf"), issuer, self.root.key, extensions, now or self.now, lifetime)
        return certificate.public_bytes(Encoding.DER)

    def jwt_svid(
        self, path: str = "/workload", audience: Sequence[str] = ("audience",), *, lifetime: int = 300, **claims: object
    ) -> str:
        """A token; further claims replace or add to the ordinary ones, None leaves one out."""
        issued = int(self.now.timestamp())
        payload = {"sub": str(self.id(path)), "aud": list(audience), "exp": issued + lifetime, "iat": issued, **claims}
        return self.token({}, {name: value for name, value in payload.items() if value is not None})

    def wit_svid(
        self,
        path: str = "/workload",
        *,
        public_key: bytes | None = None,
        algorithm: str = "ES256",
        lifetime: int = HOUR,
        **claims: object,
    ) -> str:
        """A WIT-SVID for the holder of that key (PKIX DER), or of one that nobody has; claims as in `jwt_svid`."""
        issued = int(self.now.timestamp())
        kind = ECKey if algorithm.startswith("ES") else RSAKey
        described = kind.import_key(public_key or _pkix(ec.generate_private_key(ec.SECP256R1()))).as_dict(private=False)
        confirmation = {"jwk": {**described, "alg": algorithm}}
        payload = {"sub": str(self.id(path)), "cnf": confirmation, "exp": issued + lifetime, "iat": issued, **claims}
        return self.wit_token({}, {name: value for name, value in payload.items() if value is not None})

    def token(self, header: dict[str, Any], payload: dict[str, Any] | bytes) -> str:
        """A signed token with this header (over ES256, kid and typ; None leaves a member out) and this payload."""
        return _token({"alg": "ES256", "kid": self.jwt_key_id, "typ": "JWT", **header}, payload, self.jwt_key)

    def wit_token(self, header: dict[str, Any], payload: dict[str, Any] | bytes) -> str:
        """As `token`, signed by the WIT key."""
        return _token({"alg": "ES256", "kid": self.wit_key_id, "typ": "wit+jwt", **header}, payload, self.wit_key)


def _pkix(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _token(header: dict[str, Any], payload: dict[str, Any] | bytes, key: ec.EllipticCurvePrivateKey) -> str:
    members = {name: value for name, value in header.items() if value is not None}
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    registry = jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
    return jws.serialize_compact(members, content, ECKey.import_key(der), registry=registry)


def _sign(
    public_key: ec.EllipticCurvePublicKey,
    name: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    extensions: Extensions,
    now: datetime,
    lifetime: int,
) -> x509.Certificate:
    start = now.astimezone(UTC).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - timedelta(seconds=10))
        .not_valid_after(start + timedelta(seconds=lifetime))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, CURVE_HASHES[key.curve.name]())
