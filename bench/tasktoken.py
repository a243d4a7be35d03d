"""What a task token costs who takes it: the CPU of one verification against the bare signatures beneath it.

`python -m bench tasktoken`. Status is held here, as a connected verifier has it, with 10,000 revoked credentials.
"""

from collections.abc import Iterator
from functools import partial

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from assay.bundle import Bundle, JwtAuthority
from assay.clock import SystemClock
from assay.crypto.keys import RSA_EXPONENT, to_pkix
from assay.svid import X509Svid, compact
from assay.svid.dpop import DpopKey
from assay.svid.replay import Seen
from assay.tasktoken import Certificate, DpopProof, Presented, TaskTokenVerifier
from assay.tasktoken.held import Held
from assay.testing import InMemoryTrustDomain
from assay.verify import FixedBundles
from assay_proto.status.v1 import status_pb2 as pb
from bench.credential import bare_verification
from bench.figure import Bare, Figure, best

# Many short rounds: one of them finds the machine quiet.
COUNT, ROUNDS = 20, 60
REVOKED = 10_000
CRM = "https://crm.example/mcp"
AGENT = "/principal/bot/i7f3"
CLOCK = SystemClock()
ALGORITHM = SHA256()

Calls = Iterator[tuple[str, Presented]]


class Bench:
    """A trust domain, a verifier that knows what has ended, and what callers bring."""

    def __init__(self) -> None:
        self.domain = InMemoryTrustDomain()
        self.svid, self.key = self.domain.x509_svid(AGENT), DpopKey.create()
        self.rsa = rsa.generate_private_key(RSA_EXPONENT, 2048)
        authorities = (*self.domain.bundle.jwt_authorities, JwtAuthority("rsa", to_pkix(self.rsa.public_key())))
        bundles = FixedBundles(Bundle(self.domain.trust_domain, jwt_authorities=authorities))
        self.verifier = TaskTokenVerifier(bundles, self.domain.issuer, CRM, held(), seen=Seen(10**6))

    def token(self, key: X509Svid | DpopKey) -> str:
        classes = {"crm.read": "consequential_read"}
        return self.domain.task_token(AGENT, CRM, ["crm.read", "crm.list"], key=key, classes=classes)

    def rs256(self) -> str:
        _, payload = compact.split(self.token(self.svid))
        return compact.sign({"alg": "RS256", "kid": "rsa", "typ": "at+jwt"}, payload, self.rsa)

    def proven(self, token: str) -> tuple[str, Presented]:
        return token, DpopProof(self.key.prove("POST", CRM, CLOCK.now(), access_token=token), "POST", CRM)

    def shown(self, token: str) -> tuple[str, Presented]:
        return token, Certificate(self.svid.chain[0])

    def verify(self, calls: Calls) -> None:
        assert self.verifier.verify(*next(calls), "crm.read").action == "crm.read"


def held() -> Held:
    """All there is to know, as of now; it does not grow old while the benchmark runs."""
    now = int(CLOCK.now().timestamp())
    view = Held(CLOCK)
    ended = [pb.Revoked(jti=f"crd_{number}", task_id="tsk_1", expires_at=now + 900) for number in range(REVOKED)]
    view.apply(pb.Update(position=1, incarnation="bench", snapshot=True, at=now, interval=900, revoked=ended))
    return view


def bare_rsa(key: rsa.RSAPrivateKey) -> Bare:
    signature, public_key = key.sign(b"something", padding.PKCS1v15(), ALGORITHM), key.public_key()
    verify = partial(public_key.verify, signature, b"something", padding.PKCS1v15(), ALGORITHM)
    return Bare("RS256 verified", best(verify, COUNT, ROUNDS))


def figures() -> Iterator[Figure]:
    bench = Bench()
    signature = bare_verification(ec.generate_private_key(ec.SECP256R1()))
    two, none = Bare("2 verifications", 2 * signature.cpu), Bare("", 0)
    times = range(COUNT * ROUNDS)
    known = bench.token(bench.svid)
    own = bench.token(bench.key)
    works: dict[str, tuple[Calls, Bare]] = {
        "new, ES256, by certificate": (iter([bench.shown(bench.token(bench.svid)) for _ in times]), signature),
        "new, RS256, by certificate": (iter([bench.shown(bench.rs256()) for _ in times]), bare_rsa(bench.rsa)),
        "new, ES256, by DPoP": (iter([bench.proven(bench.token(bench.key)) for _ in times]), two),
        "seen before, by certificate": (iter([bench.shown(known) for _ in times]), none),
        "seen before, by DPoP": (iter([bench.proven(own) for _ in times]), signature),
    }
    for name, (calls, bare) in works.items():
        cpu = best(partial(bench.verify, calls), COUNT, ROUNDS)
        yield Figure(f"task token: {name}", 1e6 / cpu, cpu, bare.name, bare.cpu)
