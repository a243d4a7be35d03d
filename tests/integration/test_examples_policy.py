"""examples/policy_service and examples/go_policy_service as they are: one table of requests for both.

The wrong credentials are signed with the keys of the server itself, so that each is wrong in that one thing.
"""

import base64
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from assay.authorize import one_of
from assay.bundle import Bundle
from assay.clock import SystemClock
from assay.crypto.keys import from_pkcs8, to_pkix
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import X509Svid
from assay.testing import WrongJwtSvid, WrongX509Svid
from assay.testing.authority import Ca
from assay.testing.deployment import TRUST_DOMAIN, Deployment, free_port
from assay.testing.issuer import Issuer, jwt_payload
from assay.testing.jwtkey import JwtKey
from assay.testing.wrongjwt import wrong_jwt_svid
from assay.testing.wrongx509 import wrong_x509_svid
from assay.tls import client_context
from assay.verify import BundleSource
from assay.workloadapi.blocking import JwtSource, X509Source

# One house and one of each service is enough.
pytestmark = pytest.mark.xdist_group("policy")

EXAMPLES = Path(__file__).parents[2] / "examples"
DOMAIN = TrustDomain(TRUST_DOMAIN)
POLICY, WEB, NIGHTLY = (str(SpiffeId(DOMAIN, path)) for path in ("/policy", "/web", "/analytics/nightly"))
PYTHON, GO = "python", pytest.param("go", marks=[pytest.mark.interop, pytest.mark.timeout(300)])
PATIENCE = 60.0
TTL = 300


@dataclass(frozen=True)
class Identity:
    """An SVID to present, right or wrong, beside the bundles to know the service by."""

    presented: X509Svid
    trusted: BundleSource

    def svid(self) -> X509Svid:
        return self.presented

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        return self.trusted.bundles()


class Credentials:
    """From the agent what is right, from its server's own keys what is wrong."""

    def __init__(self, house: Deployment, x509_source: X509Source, tokens: JwtSource) -> None:
        self.bundles = x509_source
        self._svids = {str(one.spiffe_id): one.svid for one in x509_source.svids()}
        self._tokens = tokens
        self._issuer = issuer(house, x509_source.bundles()[DOMAIN], tokens.bundles()[DOMAIN])

    def identity(self, spiffe_id: str) -> Identity:
        return Identity(self._svids[spiffe_id], self.bundles)

    def wrong_identity(self, wrong: WrongX509Svid) -> Identity:
        svid = wrong_x509_svid(wrong, self._issuer, SpiffeId.parse(WEB), SystemClock().now(), TTL)
        return Identity(svid, self.bundles)

    def token(self, spiffe_id: str, audience: str = POLICY) -> str:
        return self._tokens.fetch(audience, spiffe_id).token

    def wrong_token(self, wrong: WrongJwtSvid) -> str:
        return wrong_jwt_svid(wrong, self._issuer, SpiffeId.parse(WEB), [POLICY], SystemClock().now(), TTL)

    def headed(self, algorithm: str) -> str:
        """With that `alg`, though signed by ES256."""
        payload = jwt_payload(SpiffeId.parse(WEB), [POLICY], SystemClock().now(), TTL)
        return self._issuer.jwt_key.token(payload, {"alg": algorithm})


def issuer(house: Deployment, x509_bundle: Bundle, jwt_bundle: Bundle) -> Issuer:
    """The server, with its keys."""
    encoded = json.loads((house.dir / "server" / "keys.json").read_text())["keys"]
    x509_key, jwt_key = (from_pkcs8(base64.b64decode(encoded[name])) for name in ("x509-CA-A", "JWT-Signer-A"))
    assert isinstance(x509_key, ec.EllipticCurvePrivateKey)
    assert isinstance(jwt_key, ec.EllipticCurvePrivateKey)
    (root,), (authority,) = x509_bundle.x509_authorities, jwt_bundle.jwt_authorities
    assert authority.public_key == to_pkix(jwt_key.public_key())
    ca = Ca(x509.load_der_x509_certificate(root.der), x509_key)
    return Issuer(DOMAIN, ca, JwtKey(jwt_key, authority.key_id))


@pytest.fixture(scope="module")
def house() -> Iterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="assay-") as folder, contextlib.closing(Deployment(Path(folder))) as house:
        house.start()
        for one in (POLICY, WEB, NIGHTLY):
            house.register(SpiffeId.parse(one).path)
        yield house


@pytest.fixture(scope="module")
def credentials(house: Deployment) -> Iterator[Credentials]:
    with X509Source(house.endpoint) as x509_source, JwtSource(house.endpoint) as tokens:
        yield Credentials(house, x509_source, tokens)


@pytest.fixture(scope="module", params=[PYTHON, GO])
def service(request: pytest.FixtureRequest, house: Deployment) -> Iterator[str]:
    """Its URL."""
    port = str(free_port())
    if request.param == PYTHON:
        command = [sys.executable, str(EXAMPLES / "policy_service" / "service.py"), POLICY, port]
    else:
        build: Callable[[Path], str] = request.getfixturevalue("go_program")
        command = [build(EXAMPLES / "go_policy_service"), POLICY, port]
    name = f"{request.param}-service"
    with (house.dir / f"{name}.log").open("wb") as log:
        environment = {"SPIFFE_ENDPOINT_SOCKET": house.endpoint}
        house.processes[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    house.until(name, lambda: listening(int(port)))
    yield f"https://127.0.0.1:{port}"
    house.stop(name)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


Token = Callable[[Credentials], str]

ALLOWED: Mapping[str, tuple[str, str]] = {
    "the one who may": ("/orders", WEB),
    "one below the path that may": ("/reports", NIGHTLY),
    "a member of the trust domain": ("/hello", POLICY),
}
FORBIDDEN: Mapping[str, tuple[str, str]] = {
    "not the one who may": ("/orders", NIGHTLY),
    "not below the path that may": ("/reports", WEB),
}
WRONG_HEADERS: Mapping[str, tuple[Token, str]] = {
    "for another audience, from the agent": (lambda one: f"Bearer {one.token(WEB, 'billing')}", "wrong_audience"),
    "RS256 over a signature of ES256": (lambda one: f"Bearer {one.headed('RS256')}", "bad_signature"),
    "garbage": (lambda _: "Bearer e30.e30.e30", "unsupported_algorithm"),
    "an empty token": (lambda _: "Bearer", "no_credential"),
    "a password": (lambda _: "Basic d2ViOnBhc3N3b3Jk", "malformed"),
}


def wrong(one: WrongJwtSvid) -> tuple[Token, str]:
    return lambda credentials: f"Bearer {credentials.wrong_token(one)}", one.reason.value


REFUSED = {**WRONG_HEADERS, **{one.words: wrong(one) for one in WrongJwtSvid}}


def get(url: str, identity: Identity, header: str | None = None, *, presents: bool = False) -> httpx.Response:
    context = client_context(identity, one_of(POLICY), presents=presents)
    with httpx.Client(verify=context, timeout=PATIENCE, trust_env=False) as client:
        return client.get(url, headers={"authorization": header} if header is not None else {})


@pytest.mark.parametrize(("path", "caller"), ALLOWED.values(), ids=ALLOWED)
def test_who_may_is_answered(service: str, credentials: Credentials, path: str, caller: str) -> None:
    identity = credentials.identity(caller)
    answer = get(service + path, identity, f"Bearer {credentials.token(caller)}")
    assert (answer.status_code, answer.json()) == (200, {"caller": caller, "by": "JWT"})
    answer = get(service + path, identity, presents=True)
    assert (answer.status_code, answer.json()) == (200, {"caller": caller, "by": "X.509"})


@pytest.mark.parametrize(("path", "caller"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_who_may_not_is_told_so(service: str, credentials: Credentials, path: str, caller: str) -> None:
    identity = credentials.identity(caller)
    assert get(service + path, identity, f"Bearer {credentials.token(caller)}").status_code == 403
    assert get(service + path, identity, presents=True).status_code == 403


@pytest.mark.parametrize(("header", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_token_is_refused(
    service: str, credentials: Credentials, header: Token, reason: str, request: pytest.FixtureRequest
) -> None:
    identity = credentials.identity(WEB)
    answer = get(f"{service}/orders", identity, header(credentials))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    if "python" in request.node.callspec.id:
        assert answer.json() == {"error": "unauthorized", "reason": reason}
    # Nor does it fall back to the right certificate.
    assert get(f"{service}/orders", identity, header(credentials), presents=True).status_code == 401


def test_who_brings_nothing_is_refused(service: str, credentials: Credentials) -> None:
    assert get(f"{service}/orders", credentials.identity(WEB)).status_code == 401


@pytest.mark.parametrize("one", WrongX509Svid, ids=str)
def test_a_wrong_certificate_gets_nowhere(service: str, credentials: Credentials, one: WrongX509Svid) -> None:
    # Who presents the certificate hears of it after its own end of the handshake, whichever it does first then.
    try:
        answer = get(f"{service}/orders", credentials.wrong_identity(one), presents=True)
    except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
        return
    # go-spiffe is laxer than X509-SVID section 5.2, which asks for a path; but nobody's rule admits that ID.
    assert (one, answer.status_code) == (WrongX509Svid.NO_PATH, 403)


def test_the_client_of_the_example_is_answered(service: str, house: Deployment) -> None:
    for how, by in ((), "X.509"), (("--token",), "JWT"):
        command = [sys.executable, EXAMPLES / "policy_service" / "client.py", WEB, POLICY, f"{service}/orders", *how]
        environment = {"SPIFFE_ENDPOINT_SOCKET": house.endpoint}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True)
        status, _, body = done.stdout.partition(" ")
        assert (status, json.loads(body)) == ("200", {"caller": WEB, "by": by})
