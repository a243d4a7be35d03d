# ruff: noqa: ANN401 - claims are JSON
"""An issuer whose tokens, keys, status lists and events are whatever a test says."""

import base64
import hashlib
import http.server
import json
import secrets
import ssl
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from assay.bundle import Bundle, jwk
from assay.clock import SystemClock
from assay.crypto.keys import from_pkix
from assay.spiffeid import TrustDomain
from assay.svid import X509Svid, jws
from assay.testing.authority import Authority

CRM = "https://crm/mcp"
BOT = "/principal/bot/i1"
LIST = "/status/7"
ENTRY = bytes([0, 0b10])
"""The statuses of a list with 1 at entry 9."""


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
    """`pages` are by path, `asked` those that were asked for; `folder` is for a tool of its trust domain.

    `events` is what whoever follows them is told, from the second time on only what is new; the stream stands until
    `broken` is set. `resumed` is where each began, `held` what was said to be held.
    """

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
        self.events = ""
        self.resumed: list[str] = []
        self.held: list[dict[str, Any]] = []
        self.broken = threading.Event()
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
                self.broken.set()
                server.shutdown()
                thread.join()

    def reset(self) -> None:
        """Nothing is revoked, and everything is as it should be."""
        for one in (self.asked, self.resumed, self.held):
            one.clear()
        self.events = ""
        self.broken.set()
        self.broken = threading.Event()
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

    def tell(self, position: int, **changes: Any) -> None:
        """Another update on the stream, which is the whole truth."""
        said = {
            "position": position, "incarnation": "one", "snapshot": False, "more": False, "at": now(), "interval": 60,
            "revoked": [], "identities": [], "staleness": {}, **changes,
        }  # fmt: skip
        where = "" if said["more"] else f"id: {said['incarnation']}:{position}\n"
        self.events += f"{where}event: update\ndata: {json.dumps(said)}\n\n"

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
            if self.path == "/status/events":
                self.follow(issuer.broken)
                return
            status, kind, body = issuer.pages.get(self.path, (404, "text/plain", b""))
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Location", LIST), ("Content-Length", str(len(body)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def follow(self, broken: threading.Event) -> None:
            told = len(issuer.events) if issuer.resumed else 0
            issuer.resumed.append(self.headers.get("Last-Event-ID", ""))
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b'event: stream\ndata: {"stream": "s"}\n\n')
            while not broken.wait(0.02):
                said = issuer.events
                self.wfile.write(said[told:].encode())
                told = len(said)

        def do_POST(self) -> None:
            issuer.held.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

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


def resigned(_: ScriptedIssuer, token: str) -> str:
    """By another key of the same name."""
    text = token.rpartition(".")[0]
    return f"{text}.{jwk.encode(jws.sign('ES256', ec.generate_private_key(ec.SECP256R1()), text.encode()))}"
