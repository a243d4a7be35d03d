"""What a verifier costs: the CPU of one verification by the library against the bare signatures beneath it.

`python -m bench verify`. The floor of a token is one signature checked by cryptography; that of a chain is its path
validation with everything parsed beforehand.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta

from cryptography import x509
from cryptography.x509 import verification

from assay.authorize import member_of, one_of
from assay.clock import SystemClock
from assay.svid.refusal import SvidRefusedError
from assay.testing.authority import Authority, Ca
from assay.verify import FixedBundles, JwtVerifier, X509Verifier
from bench.credential import bare_verification
from bench.figure import Bare, Figure, best

COUNT = 200
CLOCK = SystemClock()


def bare_path(root: Ca, chain: tuple[bytes, ...]) -> Bare:
    leaf, *others = map(x509.load_der_x509_certificate, chain)
    leaves = verification.ExtensionPolicy.permit_all()
    signers = leaves.require_present(x509.BasicConstraints, verification.Criticality.AGNOSTIC, None)
    policy = verification.PolicyBuilder().store(verification.Store([root.certificate])).time(CLOCK.now())
    verifier = policy.extension_policies(ca_policy=signers, ee_policy=leaves).build_client_verifier()
    return Bare("path validation", best(lambda: verifier.verify(leaf, others), COUNT))


def refused(work: Callable[[], object]) -> None:
    try:
        work()
    except SvidRefusedError:
        return
    raise AssertionError("an SVID passed that is not valid")


def figures() -> Iterator[Figure]:
    home = Authority(now=CLOCK.now())
    middle = Ca.create("middle", issuer=home.root, now=CLOCK.now())
    svid, below = home.x509_svid(), home.x509_svid(issuer=middle)
    late = home.x509_svid(now=CLOCK.now() - timedelta(days=1))
    source = FixedBundles(home.bundle)
    chains = X509Verifier(source, one_of(svid.spiffe_id), CLOCK)
    tokens = JwtVerifier(source, "audience", member_of(home.trust_domain), CLOCK)
    token, expired = home.jwt_svid(), home.jwt_svid(lifetime=-3600)
    signature = bare_verification(home.jwt_key)
    path = bare_path(home.root, svid.chain)
    works: dict[str, tuple[Callable[[], object], Bare]] = {
        "JWT-SVID, ES256": (lambda: tokens.verify(token), signature),
        "JWT-SVID, expired": (lambda: refused(lambda: tokens.verify(expired)), signature),
        "X.509-SVID": (lambda: chains.verify(svid.chain), path),
        "X.509-SVID below an intermediate": (lambda: chains.verify(below.chain), bare_path(home.root, below.chain)),
        "X.509-SVID, expired": (lambda: refused(lambda: chains.verify(late.chain)), path),
    }
    for name, (work, bare) in works.items():
        cpu = best(work, COUNT)
        yield Figure(f"verified: {name}", 1e6 / cpu, cpu, bare.name, bare.cpu)
