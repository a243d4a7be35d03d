# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""The services in Node and in Go, by an issuer whose tokens, keys and lists are whatever a test says."""

import base64
import hashlib
import http.server
import json
import secrets
import ssl
import subprocess
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from assay.bundle import Bundle, jwk
from assay.clock import SystemClock
from assay.crypto.keys import from_pkix
from assay.spiffeid import TrustDomain
from assay.svid import X509Svid, jws
from assay.testing.authority import Authority

EXAMPLES = Path(__file__).parents[3] / "examples"
CRM = "https://crm/mcp"
BOT = "/principal/bot/i1"
LIST = "/status/7"
CROWD = 8


def now() -> int:
    return int(SystemClock().now().timestamp())


@dataclass(frozen=True)
class Identity:
    presented: X509Svid
    bundle: Bundle

    def svid(self) -> X509Svid:
        return self.presented

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        return {self.bundle.trust_domain: self.bundle}

    @property
    def bound(self) -> dict[str, str]:
        return {"x5t#S256": jwk.encode(hashlib.sha256(self.presented.chain[0]).digest())}


class ScriptedIssuer:
    """`pages` are by path, `asked` those that were asked for; `folder` is for a tool of its trust domain."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(now=SystemClock().now())
        self.bot, self.other = (
            Identity(self.authority.x509_svid(one), self.authority.bundle) for one in (BOT, "/other")
        )
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.jkt = {"jkt": jwk.thumbprint(jwk.emit(self.key.public_key()))}
        self.name = ""
        self.pages: dict[str, tuple[int, str, bytes]] = {}
        self.asked: list[str] = []
        svid = self.authority.x509_svid("/tool", dns_names=("localhost",))
        assert svid.key is not None
        (folder / "svid.0.pem").write_text("".join(map(ssl.DER_cert_to_PEM_cert, svid.chain)))
        key = svid.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "svid.0.key").write_bytes(key)
        (folder / "bundle.0.pem").write_text(ssl.DER_cert_to_PEM_cert(self.authority.root.der))

    @contextmanager
    def serving(self) -> Iterator["ScriptedIssuer"]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "svid.0.pem", self.folder / "svid.0.key")
        with http.server.ThreadingHTTPServer(("localhost", 0), pages_of(self)) as server:
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            self.name = f"https://localhost:{server.server_address[1]}"
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()

    def reset(self) -> None:
        """Nothing is revoked, and everything is as it should be."""
        self.asked.clear()
        (authority,) = self.authority.bundle.jwt_authorities
        key = {**jwk.emit(from_pkix(authority.public_key)), "kid": authority.key_id, "use": "sig"}
        self.say("/.well-known/oauth-authorization-server", {"issuer": self.name, "jwks_uri": f"{self.name}/jwks"})
        self.say("/jwks", {"keys": [key]})
        self.publish(self.list())

    def say(self, path: str, document: Mapping[str, Any]) -> None:
        self.pages[path] = (200, "application/json", json.dumps(document).encode())

    def publish(self, body: str, status: int = 200, kind: str = "application/statuslist+jwt") -> None:
        self.pages[LIST] = (status, kind, body.encode())

    def list(self, statuses: bytes = bytes(16), *, bits: int = 1, typ: str = "statuslist+jwt", **changes: Any) -> str:
        """A status list, signed; a claim that is None is left out."""
        status_list = {"bits": bits, "lst": packed(statuses)}
        # So short that each call asks for it, unless a test says otherwise.
        said = {"sub": self.name + LIST, "iat": now(), "exp": now() + 300, "ttl": 0.001, "status_list": status_list}
        return self.authority.token({"typ": typ}, without_none({**said, **changes}))

    def token(self, *, typ: str = "at+jwt", header: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """A task token of `bot`, entry 9 of the list; a claim that is None is left out."""
        bot = str(self.bot.presented.spiffe_id)
        said = {
            "profile": "assay-task-1", "iss": self.name, "aud": CRM, "iat": now(), "exp": now() + 300, "jti": "1",
            "sub": bot, "sub_profile": "ai_agent", "client_id": bot, "agent_instance_id": bot, "cnf": self.bot.bound,
            "mission": {"id": "tsk_1", "issuer": self.name, "authority_hash": "sha-256:a"},
            "authorization_details": [allow()], "status": {"status_list": {"idx": 9, "uri": self.name + LIST}},
        }  # fmt: skip
        return self.authority.token({"typ": typ, **(header or {})}, without_none({**said, **changes}))

    def proof(self, url: str, token: str, *, typ: str = "dpop+jwt", **changes: Any) -> str:
        """A DPoP proof for a call of crm.read."""
        said = {
            "htm": "POST", "htu": f"{url}/crm.read", "iat": now(), "jti": secrets.token_urlsafe(8),
            "ath": jwk.encode(hashlib.sha256(token.encode()).digest()),
        }  # fmt: skip
        head = {"typ": typ, "alg": "ES256", "jwk": jwk.emit(self.key.public_key())}
        text = ".".join(jwk.encode(json.dumps(part).encode()) for part in (head, without_none({**said, **changes})))
        return f"{text}.{jwk.encode(jws.sign('ES256', self.key, text.encode()))}"


def pages_of(issuer: ScriptedIssuer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            status, kind, body = issuer.pages.get(self.path, (404, "text/plain", b""))
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Location", LIST), ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def packed(statuses: bytes) -> str:
    return base64.urlsafe_b64encode(zlib.compress(statuses, 9)).decode().rstrip("=")


def without_none(claims: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in claims.items() if value is not None}


def allow(action: str = "crm.read", resource: str = CRM, **constraints: Any) -> dict[str, Any]:
    more = {"constraints": constraints} if constraints else {}
    return {"type": "mission_resource_access", "resource": resource, "actions": [action], **more}


def bearer(token: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {token}")


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedIssuer]:
    with tempfile.TemporaryDirectory(prefix="assay-") as folder, ScriptedIssuer(Path(folder)).serving() as issuer:
        yield issuer


@pytest.fixture
def issuer(scripted: ScriptedIssuer) -> ScriptedIssuer:
    scripted.reset()
    return scripted


@pytest.fixture(scope="module")
def tool(opened: Any, scripted: ScriptedIssuer) -> Iterator[Any]:
    with opened(scripted.name, scripted.folder) as one:
        yield one


@pytest.fixture
def fresh(opened: Any, issuer: ScriptedIssuer) -> Iterator[Any]:
    """One that has seen no list yet."""
    with opened(issuer.name, issuer.folder) as one:
        yield one


def test_it_reads_the_drafts_lists_itself(program: list[str]) -> None:
    with_go = len(program) == 1
    folder = EXAMPLES / ("verify_go" if with_go else "verify_node")
    subprocess.run(["go", "test", "."] if with_go else [program[0], "--test", "."], cwd=folder, check=True)


def test_the_holder_of_the_certificate_may_what_the_token_says(tool: Any, issuer: ScriptedIssuer) -> None:
    answer = tool.call(issuer.bot, bearer(issuer.token()))
    assert answer.status_code == 200, answer.text
    said = {"ticket": 7, "says": "it is broken", "task": "tsk_1", "instance": str(issuer.bot.presented.spiffe_id)}
    assert answer.json() == said


def test_the_holder_of_the_proofs_key_may_what_the_token_says_once(tool: Any, issuer: ScriptedIssuer) -> None:
    token = issuer.token(cnf=issuer.jkt)
    headers = ("authorization", f"DPoP {token}"), ("dpop", issuer.proof(tool.url, token))
    assert tool.call(issuer.bot, *headers, presents=False).status_code == 200
    again = tool.call(issuer.bot, *headers, presents=False)
    assert (again.status_code, again.json()["error"]) == (401, "bad_proof")


@pytest.mark.parametrize(("usd", "status"), [(50, 200), (50.5, 403), (-1, 403), (0, 403)])
def test_constraints_are_enforced(tool: Any, issuer: ScriptedIssuer, usd: float, status: int) -> None:
    token = issuer.token(authorization_details=[allow("crm.refund", max_usd=50)])
    assert tool.call(issuer.bot, bearer(token), action="crm.refund", usd=usd).status_code == status


Claims = Callable[[ScriptedIssuer], dict[str, Any]]


def changed(**changes: Any) -> Claims:
    return lambda _: changes


def altered(name: str, **changes: Any) -> Claims:
    """With that claim, an object, changed."""

    def change(issuer: ScriptedIssuer) -> dict[str, Any]:
        payload = issuer.token().split(".")[1]
        value = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))[name]
        return {name: without_none({**value, **changes})}

    return change


WRONG_TOKENS: Mapping[str, tuple[Claims, str]] = {
    "a JWT-SVID": (changed(typ="JWT"), "not_a_task_token"),
    "of another profile": (changed(profile="assay-task-2"), "not_a_task_token"),
    "of another issuer": (changed(iss="https://elsewhere"), "wrong_issuer"),
    "by an unknown key": (changed(header={"kid": "other"}), "unknown_key"),
    "by no key": (changed(header={"kid": None}), "unknown_key"),
    "with a critical extension": (changed(header={"crit": ["kid"]}), "malformed"),
    "for another audience": (changed(aud="https://mail/mcp"), "wrong_audience"),
    "for several": (changed(aud=[CRM, "https://mail/mcp"]), "wrong_audience"),
    "for a list of this one": (changed(aud=[CRM]), "wrong_audience"),
    "expired": (lambda _: {"exp": now() - 1}, "expired"),
    "without an end": (changed(exp=None), "not_a_task_token"),
    "of tomorrow": (lambda _: {"iat": now() + 86400}, "not_yet_valid"),
    "not yet valid": (lambda _: {"nbf": now() + 86400}, "not_yet_valid"),
    "of an agent without a task": (changed(mission=None), "not_a_task_token"),
    "of an agent on somebody's behalf without a task": (
        changed(mission=None, sub_profile="user", act={"sub_profile": "ai_agent"}), "not_a_task_token",
    ),
    "of another issuer's task": (altered("mission", issuer="https://elsewhere"), "not_a_task_token"),
    "of no instance": (changed(agent_instance_id=None), "not_a_task_token"),
    "bound to nothing": (changed(cnf=None), "not_bound"),
    "bound to two keys": (lambda issuer: {"cnf": {**issuer.bot.bound, **issuer.jkt}}, "not_a_task_token"),
    "bound to another certificate": (lambda issuer: {"cnf": issuer.other.bound}, "wrong_key"),
    "bound to a proof's key": (lambda issuer: {"cnf": issuer.jkt}, "no_proof"),
    "for another action": (changed(authorization_details=[allow("crm.refund")]), "action_not_allowed"),
    "at another resource": (changed(authorization_details=[allow(resource="https://mail/mcp")]), "action_not_allowed"),
    "of another type": (changed(authorization_details=[{**allow(), "type": "x"}]), "action_not_allowed"),
    "for nothing": (changed(authorization_details=None), "action_not_allowed"),
    "under what nobody here knows": (changed(authorization_details=[allow(max_pages=1)]), "unknown_constraint"),
    "without a status": (changed(status=None), "status_unknown"),
    "with a status of another kind": (changed(status={"other": {}}), "status_unknown"),
    "with its status elsewhere": (
        changed(status={"status_list": {"idx": 9, "uri": "https://elsewhere/status/7"}}), "status_unknown",
    ),
    "beyond the list's end": (
        lambda issuer: {"status": {"status_list": {"idx": 128, "uri": issuer.name + LIST}}}, "status_unknown",
    ),
    "at no place of the list": (
        lambda issuer: {"status": {"status_list": {"uri": issuer.name + LIST}}}, "status_unknown",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("claims", "reason"), WRONG_TOKENS.values(), ids=WRONG_TOKENS)
def test_a_wrong_token_is_refused(tool: Any, issuer: ScriptedIssuer, claims: Claims, reason: str) -> None:
    answer = tool.call(issuer.bot, bearer(issuer.token(**claims(issuer))))
    assert answer.json()["error"] == reason
    assert answer.status_code in {401, 403, 503}
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)


Altered = Callable[[ScriptedIssuer, str], str]


def resigned(_: ScriptedIssuer, token: str) -> str:
    """By another key of the same name."""
    text = token.rpartition(".")[0]
    return f"{text}.{jwk.encode(jws.sign('ES256', ec.generate_private_key(ec.SECP256R1()), text.encode()))}"


def headed(issuer: ScriptedIssuer, token: str, algorithm: str) -> str:
    head = {"alg": algorithm, "typ": "at+jwt", "kid": issuer.authority.jwt_key_id}
    return ".".join([jwk.encode(json.dumps(head).encode()), *token.split(".")[1:]])


TAMPERED: Mapping[str, tuple[Altered, str]] = {
    "the signature of another key": (resigned, "bad_signature"),
    "the signature of another token": (
        lambda issuer, token: f"{token.rpartition('.')[0]}.{issuer.token(jti='2').split('.')[2]}", "bad_signature",
    ),
    "alg none": (lambda issuer, token: headed(issuer, token, "none"), "bad_signature"),
    "alg RS256": (lambda issuer, token: headed(issuer, token, "RS256"), "bad_signature"),
    "an empty signature": (lambda _, token: f"{token.rpartition('.')[0]}.", "malformed"),
    "two parts": (lambda _, token: token.rpartition(".")[0], "malformed"),
    "no JSON": (lambda *_: "bm8.bm8.bm8", "malformed"),
}  # fmt: skip


@pytest.mark.parametrize(("tamper", "reason"), TAMPERED.values(), ids=TAMPERED)
def test_what_was_tampered_with_is_refused(tool: Any, issuer: ScriptedIssuer, tamper: Altered, reason: str) -> None:
    answer = tool.call(issuer.bot, bearer(tamper(issuer, issuer.token())))
    assert (answer.status_code, answer.json()["error"]) == (401, reason)
    assert LIST not in issuer.asked


def test_a_token_in_other_hands_is_refused(tool: Any, issuer: ScriptedIssuer) -> None:
    token = issuer.token()
    for identity, presents, reason in ((issuer.other, True, "wrong_key"), (issuer.bot, False, "not_bound")):
        answer = tool.call(identity, bearer(token), presents=presents)
        assert (answer.status_code, answer.json()["error"]) == (401, reason)
    for header in ((), (("authorization", "Bearer"),), (("authorization", f"Basic {token}"),)):
        none = tool.call(issuer.bot, *header)
        assert (none.status_code, none.json()["error"]) == (401, "no_credential")
    twice = tool.call(issuer.bot, bearer(token), bearer(token))
    assert (twice.status_code, twice.json()["error"]) == (401, "malformed")


WRONG_PROOFS: Mapping[str, tuple[dict[str, Any], str]] = {
    "of another type": ({"typ": "JWT"}, "bad_proof"),
    "for another method": ({"htm": "GET"}, "bad_proof"),
    "for another tool": ({"htu": "https://localhost/crm.read"}, "bad_proof"),
    "for another token": ({"ath": "x"}, "bad_proof"),
    "for no token": ({"ath": None}, "bad_proof"),
    "of yesterday": ({"iat": 1}, "bad_proof"),
    "of no time": ({"iat": None}, "bad_proof"),
    "without a name": ({"jti": None}, "bad_proof"),
}


@pytest.mark.parametrize(("claims", "reason"), WRONG_PROOFS.values(), ids=WRONG_PROOFS)
def test_a_wrong_proof_is_refused(tool: Any, issuer: ScriptedIssuer, claims: dict[str, Any], reason: str) -> None:
    token = issuer.token(cnf=issuer.jkt)
    proof = issuer.proof(tool.url, token, **claims)
    answer = tool.call(issuer.bot, ("authorization", f"DPoP {token}"), ("dpop", proof))
    assert (answer.status_code, answer.json()["error"]) == (401, reason)


def test_a_proof_by_another_key_or_none_or_two_is_refused(tool: Any, issuer: ScriptedIssuer) -> None:
    token = issuer.token(cnf={"jkt": "A" * 43})
    header = ("authorization", f"DPoP {token}")
    proof = ("dpop", issuer.proof(tool.url, token))
    assert tool.call(issuer.bot, header, proof).json()["error"] == "wrong_key"
    assert tool.call(issuer.bot, header).json()["error"] == "no_proof"
    assert tool.call(issuer.bot, header, proof, proof).status_code == 401


Lists = Callable[[ScriptedIssuer], Any]
ENTRY = bytes([0, 0b10])
"""The list with 1 at entry 9."""
UNKNOWN: Mapping[str, Lists] = {
    "by another key": lambda it: it.publish(resigned(it, it.list())),
    "by another issuer": lambda it: it.publish(Authority(now=SystemClock().now()).token({"typ": "statuslist+jwt"}, {})),
    "of another type": lambda it: it.publish(it.list(typ="JWT")),
    "of another name": lambda it: it.publish(it.list(sub=f"{it.name}/status/8")),
    "expired": lambda it: it.publish(it.list(exp=now() - 1)),
    "of tomorrow": lambda it: it.publish(it.list(iat=now() + 86400)),
    "without its time": lambda it: it.publish(it.list(iat=None)),
    "without an end": lambda it: it.publish(it.list(exp=None)),
    "without ttl": lambda it: it.publish(it.list(ttl=None)),
    "with ttl 0": lambda it: it.publish(it.list(ttl=0)),
    "without a list": lambda it: it.publish(it.list(status_list=None)),
    "of three bits": lambda it: it.publish(it.list(bits=3)),
    "with a list cut off": lambda it: it.publish(it.list(status_list={"bits": 1, "lst": packed(bytes(99))[:-3]})),
    "too short": lambda it: it.publish(it.list(bytes(1))),
    "that unpacks to more than is sound": lambda it: it.publish(it.list(bytes(16 << 20))),
    "that was cut off": lambda it: it.publish(it.list()[:-9]),
    "that is no token": lambda it: it.publish("{}"),
    "as another kind of page": lambda it: it.publish(it.list(), kind="application/json"),
    "that is not there": lambda it: it.publish("", 404),
    "that cannot be had": lambda it: it.publish(it.list(), 500),
    "that is elsewhere": lambda it: it.publish("", 302),
    "of nobody who is known": lambda it: it.say("/jwks", {"keys": []}),
    "of an issuer that says it is another": lambda it: it.say(
        "/.well-known/oauth-authorization-server", {"issuer": "https://elsewhere", "jwks_uri": f"{it.name}/jwks"}
    ),
}


@pytest.mark.parametrize("publish", UNKNOWN.values(), ids=UNKNOWN)
def test_by_a_wrong_list_nothing_is_allowed(fresh: Any, issuer: ScriptedIssuer, publish: Lists) -> None:
    publish(issuer)
    answer = fresh.call(issuer.bot, bearer(issuer.token()))
    assert answer.status_code in {401, 503}
    assert answer.json()["error"] in {"status_unknown", "unknown_key"}


@pytest.mark.parametrize(("statuses", "bits"), [(ENTRY, 1), (bytes([0, 0, 0b1000]), 2), (bytes(9) + b"\x0b", 8)])
def test_who_is_on_the_list_is_refused(fresh: Any, issuer: ScriptedIssuer, statuses: bytes, bits: int) -> None:
    issuer.publish(issuer.list(statuses, bits=bits))
    answer = fresh.call(issuer.bot, bearer(issuer.token()))
    assert (answer.status_code, answer.json()["error"]) == (401, "revoked")
    idx = {"idx": 8, "uri": issuer.name + LIST}
    assert fresh.call(issuer.bot, bearer(issuer.token(status={"status_list": idx}))).status_code == 200


def test_it_obeys_a_new_list_at_once_after_the_old_ones_ttl(fresh: Any, issuer: ScriptedIssuer) -> None:
    token = bearer(issuer.token())
    assert fresh.call(issuer.bot, token).status_code == 200
    issuer.publish(issuer.list(ENTRY))
    assert fresh.call(issuer.bot, token).json()["error"] == "revoked"


def test_a_list_that_rolls_back_is_refused_until_a_newer_one_comes(fresh: Any, issuer: ScriptedIssuer) -> None:
    token = bearer(issuer.token())
    old = issuer.list(iat=now() - 10)
    issuer.publish(issuer.list(ENTRY))
    assert fresh.call(issuer.bot, token).json()["error"] == "revoked"
    issuer.publish(old)
    for _ in range(3):
        assert fresh.call(issuer.bot, token).json()["error"] == "status_unknown"
    issuer.publish(issuer.list(iat=now() + 1))
    while fresh.call(issuer.bot, token).status_code != 200:  # what failed is asked for again after a second
        pass


def test_a_list_is_asked_for_once_in_its_ttl_and_by_all_together(fresh: Any, issuer: ScriptedIssuer) -> None:
    issuer.publish(issuer.list(ttl=600))
    token = bearer(issuer.token())
    with ThreadPoolExecutor(CROWD) as crowd:
        answers = list(crowd.map(lambda _: fresh.call(issuer.bot, token).status_code, range(2 * CROWD)))
    assert answers == [200] * 2 * CROWD
    assert (issuer.asked.count(LIST), issuer.asked.count("/jwks")) == (1, 1)


def test_no_list_counts_after_its_end_whatever_its_ttl(fresh: Any, issuer: ScriptedIssuer) -> None:
    issuer.publish(issuer.list(ttl=600, exp=now() + 2))
    token = bearer(issuer.token())
    assert fresh.call(issuer.bot, token).status_code == 200
    while fresh.call(issuer.bot, token).status_code == 200:
        pass
    assert fresh.call(issuer.bot, token).json()["error"] == "status_unknown"


def test_a_key_that_is_new_is_found(fresh: Any, issuer: ScriptedIssuer) -> None:
    assert fresh.call(issuer.bot, bearer(issuer.token())).status_code == 200
    before = issuer.authority.jwt_key_id
    issuer.authority.jwt_key_id = "new"
    try:
        issuer.reset()
        while fresh.call(issuer.bot, bearer(issuer.token())).status_code != 200:  # unknown keys: once in five seconds
            pass
    finally:
        issuer.authority.jwt_key_id = before
