"""What the issuer adds to the bare signature, and a validator to the bare verification, in this process."""

from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from assay.clock import SystemClock
from assay.crypto import csr, keys
from assay.crypto.ski import authority_id
from assay.keymanager.base import KeyType
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import jwt
from assay.testing.authority import Authority
from assay_server.credential import CredentialSettings, Issuer, JwtSigner, X509Signer
from bench.figure import Bare, Figure, best

COUNT = 200
ID = SpiffeId(TrustDomain("example.org"), "/workload/one")
ALGORITHM = ec.ECDSA(SHA256())


class Authorities:
    def __init__(self, authority: Authority) -> None:
        root = authority.root
        self.x509 = X509Signer(root.certificate, root.key, (), authority_id(root.certificate.public_key()))
        self.jwt = JwtSigner(authority.jwt_key, authority.jwt_key_id, 2**40)


def verify_request(request: bytes) -> None:
    assert x509.load_der_x509_csr(request).is_signature_valid


def bare_signature(key: ec.EllipticCurvePrivateKey) -> Bare:
    return Bare("ECDSA signature", best(lambda: key.sign(b"something", ALGORITHM), COUNT))


def bare_verification(key: ec.EllipticCurvePrivateKey) -> Bare:
    signature, public_key = key.sign(b"something", ALGORITHM), key.public_key()
    return Bare("verification", best(lambda: public_key.verify(signature, b"something", ALGORITHM), COUNT))


def bare_request(request: bytes) -> Bare:
    return Bare("CSR checked", best(lambda: verify_request(request), COUNT))


def figures() -> Iterator[Figure]:
    clock = SystemClock()
    authority = Authority(ID.trust_domain.name, now=clock.now())
    issuer = Issuer(ID.trust_domain, Authorities(authority), clock, CredentialSettings())
    request = csr.create(keys.generate(KeyType.EC_P256))
    public_key = csr.parse(request).public_key
    token = issuer.workload_jwt(ID, ("audience",)).token
    bundles = {ID.trust_domain: authority.bundle}
    signature = bare_signature(authority.jwt_key)
    works: dict[str, tuple[Callable[[], object], Bare]] = {
        "CSR parsed and verified": (lambda: csr.parse(request), bare_request(request)),
        "X.509-SVID issued": (lambda: issuer.workload_x509(public_key, ID), signature),
        "JWT-SVID issued": (lambda: issuer.workload_jwt(ID, ("audience",)), signature),
        "JWT-SVID validated": (
            lambda: jwt.verify(token, bundles, "audience", clock.now()),
            bare_verification(authority.jwt_key),
        ),
    }
    for name, (work, bare) in works.items():
        cpu = best(work, COUNT)
        yield Figure(name, 1e6 / cpu, cpu, bare.name, bare.cpu)
