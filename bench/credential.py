"""What issuing adds to the bare signatures beneath it, on the server and on the agent, in this process."""

from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from assay.clock import SystemClock
from assay.crypto import csr, keys
from assay.crypto.ski import authority_id
from assay.errors import AssayError
from assay.keymanager.base import KeyType
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import X509Svid
from assay.testing.authority import Authority
from assay_server.credential import CredentialSettings, Issuer, JwtSigner, LeafOrder, WitSigner, X509Signer
from bench.figure import Bare, Figure, best

# Many short rounds: one of them finds the machine quiet.
COUNT, ROUNDS = 32, 60
BATCH = 25  # as many as the server signs in one turn of its loop
ID = SpiffeId(TrustDomain("example.org"), "/workload/one")
ALGORITHM = ec.ECDSA(SHA256())


class Authorities:
    def __init__(self, authority: Authority) -> None:
        root = authority.root
        self.x509 = X509Signer(root.certificate, root.key, (), authority_id(root.certificate.public_key()))
        self.jwt = JwtSigner(authority.jwt_key, authority.jwt_key_id, 2**40)
        self.wit = WitSigner(authority.wit_key, authority.wit_key_id, 2**40)


def verify_request(request: bytes) -> None:
    read = x509.load_der_x509_csr(request)
    key = read.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(read.signature, read.tbs_certrequest_bytes, ALGORITHM)


def bare_signature(key: ec.EllipticCurvePrivateKey) -> Bare:
    return Bare("ECDSA signature", best(lambda: key.sign(b"something", ALGORITHM), COUNT, ROUNDS))


def bare_verification(key: ec.EllipticCurvePrivateKey) -> Bare:
    signature, public_key = key.sign(b"something", ALGORITHM), key.public_key()
    return Bare("verification", best(lambda: public_key.verify(signature, b"something", ALGORITHM), COUNT, ROUNDS))


def bare_request(request: bytes) -> Bare:
    return Bare("CSR checked", best(lambda: verify_request(request), COUNT, ROUNDS))


def issue_each(issuer: Issuer, requests: list[bytes]) -> None:
    orders = [read if isinstance(read, AssayError) else LeafOrder(read.pkix, ID) for read in csr.parse_each(requests)]
    assert not any(isinstance(svid, AssayError) for svid in issuer.workload_x509_each(orders))


class Bench:
    """One authority and issuer, a workload's key and what was issued for it."""

    def __init__(self) -> None:
        clock = SystemClock()
        authority = Authority(ID.trust_domain.name, now=clock.now())
        self.issuer = Issuer(ID.trust_domain, Authorities(authority), clock, CredentialSettings())
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.requests = [csr.create(keys.generate(KeyType.EC_P256)) for _ in range(BATCH)]
        self.chain = self.issuer.workload_x509(self.key.public_key(), ID).chain

    def sign(self) -> bytes:
        return self.key.sign(b"something", ALGORITHM)

    def check_and_sign(self) -> None:
        verify_request(self.requests[0])
        self.sign()

    def make_key(self) -> None:
        ec.generate_private_key(ec.SECP256R1()).sign(b"something", ALGORITHM)

    def load_leaf(self) -> x509.Extensions:
        return x509.load_der_x509_certificate(self.chain[0]).extensions

    def works(self) -> dict[str, tuple[Callable[[], object], Bare, int]]:
        """Work by name, with the floor it goes by and how many items it is."""
        request, issuer = self.requests[0], self.issuer
        both = Bare("CSR checked, ECDSA signature", best(self.check_and_sign, COUNT, ROUNDS))
        made = Bare("key generated, ECDSA signature", best(self.make_key, COUNT, ROUNDS))
        loaded = Bare("certificate loaded", best(self.load_leaf, COUNT, ROUNDS))
        return {
            "CSR parsed and verified": (lambda: csr.parse(request), bare_request(request), 1),
            "X.509-SVID from CSR": (lambda: issuer.workload_x509(csr.parse(request).pkix, ID), both, 1),
            f"X.509-SVID from CSR, {BATCH} at once": (lambda: issue_each(issuer, self.requests), both, BATCH),
            "JWT-SVID issued": (lambda: issuer.workload_jwt(ID, ("audience",)), bare_signature(self.key), 1),
            "key and CSR made by an agent": (lambda: csr.create(keys.generate(KeyType.EC_P256)), made, 1),
            "X.509-SVID taken by an agent": (lambda: X509Svid.parse(self.chain, self.key), loaded, 1),
        }


def figures() -> Iterator[Figure]:
    for name, (work, bare, items) in Bench().works().items():
        cpu = best(work, max(1, COUNT // items), ROUNDS) / items
        yield Figure(name, 1e6 / cpu, cpu, bare.name, bare.cpu)
