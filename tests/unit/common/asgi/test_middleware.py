"""The middleware by itself: what reaches the application, and what callers are told otherwise."""

import json
import logging
import ssl
from collections.abc import MutableMapping
from typing import Any

import pytest

from assay.asgi import Caller, SpiffeMiddleware, caller
from assay.authorize import any_id, matching, one_of
from assay.errors import InvalidArgumentError, UnauthenticatedError
from assay.svid import X509Svid
from assay.svid.refusal import Reason
from assay.testing import InMemoryTrustDomain, WrongJwtSvid, WrongX509Svid
from assay.verify import JwtVerifier, X509Verifier

Message = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]


class Application:
    """Remembers with what scopes it was reached."""

    def __init__(self) -> None:
        self.scopes: list[MutableMapping[str, Any]] = []

    async def __call__(self, scope: MutableMapping[str, Any], _receive: object, send: Any) -> None:  # noqa: ANN401 - ASGI's
        self.scopes.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"reached"})


@pytest.fixture
def app() -> Application:
    return Application()


@pytest.fixture
def domain() -> InMemoryTrustDomain:
    return InMemoryTrustDomain()


@pytest.fixture
def jwt(domain: InMemoryTrustDomain) -> JwtVerifier:
    return JwtVerifier(domain, "orders", one_of(domain.id("/web")))


@pytest.fixture
def x509(domain: InMemoryTrustDomain) -> X509Verifier:
    return X509Verifier(domain, one_of(domain.id("/web")))


def scope_of(headers: Headers = [], *, kind: str = "http", path: str = "/", **more: object) -> dict[str, Any]:  # noqa: B006 - not changed
    return {"type": kind, "path": path, "raw_path": path.encode(), "headers": headers, "method": "GET", **more}


def with_chain(svid: X509Svid, headers: Headers = []) -> dict[str, Any]:  # noqa: B006 - not changed
    chain = [ssl.DER_cert_to_PEM_cert(one) for one in svid.chain]
    return scope_of(headers, extensions={"tls": {"client_cert_chain": chain}})


async def sent(guarded: SpiffeMiddleware, scope: dict[str, Any]) -> list[Message]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is received of who is refused")

    await guarded(scope, receive, send)
    return messages


async def answer(guarded: SpiffeMiddleware, scope: dict[str, Any]) -> tuple[int, dict[bytes, bytes], Any]:
    start, body = await sent(guarded, scope)
    content = body["body"]
    headers = dict(start["headers"])
    if start["status"] != 200:
        assert headers[b"content-type"] == b"application/json"
        assert int(headers[b"content-length"]) == len(content)
    return start["status"], headers, content if start["status"] == 200 else json.loads(content)


def bearer(token: str) -> tuple[bytes, bytes]:
    return b"authorization", f"Bearer {token}".encode()


@pytest.mark.spec("JWT-5.2-a")
@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER  "])
async def test_a_good_token_reaches_the_application(
    app: Application, domain: InMemoryTrustDomain, jwt: JwtVerifier, scheme: bytes
) -> None:
    token = domain.jwt_svid("/web", "orders")
    guarded = SpiffeMiddleware(app, jwt=jwt)
    status, _, _ = await answer(guarded, scope_of([(b"Authorization", scheme + token.encode())]))
    assert status == 200
    found = caller(app.scopes[0])
    assert found.spiffe_id == domain.id("/web")
    assert found.peer is None
    assert found.token is not None
    assert found.token.token == token
    assert token not in repr(found)


@pytest.mark.parametrize("wrong", WrongJwtSvid)
async def test_a_wrong_token_is_refused_with_the_reason_alone(
    app: Application, domain: InMemoryTrustDomain, jwt: JwtVerifier, wrong: WrongJwtSvid
) -> None:
    token = domain.wrong_jwt_svid(wrong, "/web", "orders")
    status, headers, body = await answer(SpiffeMiddleware(app, jwt=jwt), scope_of([bearer(token)]))
    assert status == 401
    assert body == {"error": "unauthorized", "reason": wrong.reason.value}
    assert headers[b"www-authenticate"] == b'Bearer error="invalid_token"'
    assert app.scopes == []


async def test_somebody_else_is_forbidden(app: Application, domain: InMemoryTrustDomain, jwt: JwtVerifier) -> None:
    token = domain.jwt_svid("/other", "orders")
    status, headers, body = await answer(SpiffeMiddleware(app, jwt=jwt), scope_of([bearer(token)]))
    assert (status, body) == (403, {"error": "forbidden", "reason": "not_authorized"})
    assert b"www-authenticate" not in headers
    assert app.scopes == []


async def test_nobody_is_asked_for_a_token_where_tokens_count(
    app: Application, jwt: JwtVerifier, x509: X509Verifier
) -> None:
    status, headers, body = await answer(SpiffeMiddleware(app, jwt=jwt, x509=x509), scope_of())
    assert (status, body["reason"]) == (401, "no_credential")
    assert headers[b"www-authenticate"] == b"Bearer"
    status, headers, _ = await answer(SpiffeMiddleware(app, x509=x509), scope_of())
    assert status == 401
    assert b"www-authenticate" not in headers
    assert app.scopes == []


@pytest.mark.parametrize(
    "headers",
    [
        lambda token: [bearer(token), bearer(token)],
        lambda token: [bearer(token), (b"AUTHORIZATION", b"Basic eDp5")],
        lambda _: [(b"authorization", b"Basic eDp5")],
        lambda token: [(b"authorization", token.encode())],
        lambda token: [(b"authorization", b"Bearer " + token.encode() + b"\xe4")],
        lambda token: [(b"authorization", b"Bearer\xa0" + token.encode())],
        lambda token: [(b"authorization", b"Bearer\t" + token.encode())],
        lambda token: [(b"authorization", b"Bearer " + token.encode() + b" " + token.encode())],
        lambda token: [(b"authorization", b"Bearer " + token.encode() + b"\n")],
        lambda token: [(b"authorization", b"Bearer " + token.encode() + b", Basic eDp5")],
        lambda _: [(b"authorization", b"Bearer ")],
        lambda _: [(b"authorization", b"")],
    ],
)
async def test_authorization_is_one_bearer_token(
    app: Application,
    domain: InMemoryTrustDomain,
    jwt: JwtVerifier,
    headers: Any,  # noqa: ANN401 - a function of the token
) -> None:
    token = domain.jwt_svid("/web", "orders")
    status, _, body = await answer(SpiffeMiddleware(app, jwt=jwt), scope_of(headers(token)))
    assert status == 401
    assert body["reason"] in {"malformed", "no_credential"}
    assert app.scopes == []


async def test_a_good_certificate_reaches_the_application(
    app: Application, domain: InMemoryTrustDomain, x509: X509Verifier
) -> None:
    guarded = SpiffeMiddleware(app, x509=x509)
    scope = with_chain(domain.x509_svid("/web", intermediate=True))
    assert (await answer(guarded, scope))[0] == 200
    assert caller(app.scopes[0]) == Caller(None, domain.id("/web"))
    # Tokens are the application's own affair then.
    scope = with_chain(domain.x509_svid("/web"), [(b"authorization", b"Basic eDp5")])
    assert (await answer(guarded, scope))[0] == 200


@pytest.mark.parametrize("wrong", WrongX509Svid)
async def test_a_wrong_certificate_is_refused_with_the_reason_alone(
    app: Application, domain: InMemoryTrustDomain, x509: X509Verifier, wrong: WrongX509Svid
) -> None:
    scope = with_chain(domain.wrong_x509_svid(wrong, "/web"))
    status, _, body = await answer(SpiffeMiddleware(app, x509=x509), scope)
    assert (status, body) == (401, {"error": "unauthorized", "reason": wrong.reason.value})
    assert app.scopes == []


async def test_what_is_no_certificate_is_refused(app: Application, x509: X509Verifier) -> None:
    for pem in ("", "x", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        scope = scope_of(extensions={"tls": {"client_cert_chain": [pem]}})
        status, _, body = await answer(SpiffeMiddleware(app, x509=x509), scope)
        assert (status, body["reason"]) == (401, "malformed")
    nothings: list[Any] = [
        {},
        {"tls": {}},
        {"tls": {"client_cert_chain": []}},
        {"tls": {"client_cert_chain": None}},
        None,
    ]
    for nothing in nothings:
        status, _, body = await answer(SpiffeMiddleware(app, x509=x509), scope_of(extensions=nothing))
        assert (status, body["reason"]) == (401, "no_credential")
    assert app.scopes == []


async def test_with_both_the_token_speaks_and_both_have_to_be_good(
    app: Application, domain: InMemoryTrustDomain, jwt: JwtVerifier
) -> None:
    guarded = SpiffeMiddleware(app, jwt=jwt, x509=X509Verifier(domain, one_of(domain.id("/proxy"))))
    web, other = (bearer(domain.jwt_svid(path, "orders")) for path in ("/web", "/other"))
    proxy, stranger = domain.x509_svid("/proxy"), domain.x509_svid("/stranger")
    assert (await answer(guarded, with_chain(proxy, [web])))[0] == 200
    assert (await answer(guarded, with_chain(proxy)))[0] == 200
    assert (await answer(guarded, scope_of([web])))[0] == 200
    assert [caller(scope).spiffe_id.path for scope in app.scopes] == ["/web", "/proxy", "/web"]
    assert caller(app.scopes[0]).peer == domain.id("/proxy")
    # A good peer is no excuse for a token, nor the other way round.
    assert (await answer(guarded, with_chain(proxy, [other])))[0] == 403
    assert (await answer(guarded, with_chain(proxy, [(b"authorization", b"Bearer x")])))[0] == 401
    assert (await answer(guarded, with_chain(stranger, [web])))[0] == 403
    assert len(app.scopes) == 3


async def test_websockets_are_closed_before_they_open(
    app: Application, domain: InMemoryTrustDomain, jwt: JwtVerifier
) -> None:
    guarded = SpiffeMiddleware(app, jwt=jwt, public=["/ws"])
    for headers, reason in (
        ([], "no_credential"),
        ([bearer(domain.jwt_svid("/other", "orders"))], "not_authorized"),
        ([bearer(domain.wrong_jwt_svid(WrongJwtSvid.EXPIRED, "/web", "orders"))], "expired"),
    ):
        (message,) = await sent(guarded, scope_of(headers, kind="websocket", path="/ws"))
        assert message == {"type": "websocket.close", "code": 1008, "reason": reason}
    assert app.scopes == []
    await sent(guarded, scope_of([bearer(domain.jwt_svid("/web", "orders"))], kind="websocket", path="/ws"))
    assert caller(app.scopes[0]).spiffe_id == domain.id("/web")


async def test_lifespan_passes_and_what_nobody_knows_does_not(app: Application, jwt: JwtVerifier) -> None:
    guarded = SpiffeMiddleware(app, jwt=jwt)
    lifespan: dict[str, Any] = {"type": "lifespan", "state": {}}
    await sent(guarded, lifespan)
    assert app.scopes == [lifespan]
    assert app.scopes[0]["state"] is lifespan["state"]
    await sent(guarded, scope_of(kind="something-new"))
    assert len(app.scopes) == 1


@pytest.mark.parametrize(
    "path",
    [
        *("/healthz/", "//healthz", "/healthz/../secret", "/secret/../healthz", "/./healthz", "/HEALTHZ", "/healthz;x"),
        *("/healthz?x", "/healthz#x", "/healthz\0", "/healthz ", " /healthz", "/healthz/secret", "healthz", "", "/"),
        *("/%68ealthz", "/healthz%2f..%2fsecret", "http://localhost/healthz", "/healthz\n", "/\u017fhealthz"),
    ],
)
async def test_public_paths_are_open_to_the_letter(app: Application, jwt: JwtVerifier, path: str) -> None:
    guarded = SpiffeMiddleware(app, jwt=jwt, public=["/healthz"])
    scope = scope_of(path="/healthz")
    assert (await answer(guarded, scope))[0] == 200
    assert len(app.scopes) == 1
    assert (await answer(guarded, {**scope, "path": path}))[0] == 401
    # What a server mounts below, or a proxy says, is no part of it.
    assert (await answer(guarded, {**scope, "path": path, "root_path": "/healthz", "raw_path": b"/healthz"}))[0] == 401
    assert len(app.scopes) == 1


async def test_nobody_but_the_middleware_says_who_calls(
    app: Application, domain: InMemoryTrustDomain, jwt: JwtVerifier
) -> None:
    guarded = SpiffeMiddleware(app, jwt=jwt, public=["/healthz"])
    admin = Caller(None, domain.id("/admin"))
    state = {"spiffe": admin, "db": "kept"}
    token = bearer(domain.jwt_svid("/web", "orders"))
    headers = [token, (b"spiffe", b"spiffe://example.org/admin"), (b"x-forwarded-client-cert", b"URI=spiffe://e/a")]
    await answer(guarded, scope_of(headers, state=state))
    assert caller(app.scopes[0]).spiffe_id == domain.id("/web")
    assert app.scopes[0]["state"]["db"] == "kept"
    # What the server keeps for all requests stays as it was.
    assert state == {"spiffe": admin, "db": "kept"}
    await answer(guarded, scope_of(path="/healthz", state=state))
    with pytest.raises(UnauthenticatedError, match="nobody is known"):
        caller(app.scopes[1])
    scopes: list[dict[str, Any]] = [{}, {"state": {}}, {"state": {"spiffe": "spiffe://example.org/admin"}}]
    for scope in scopes:
        with pytest.raises(UnauthenticatedError):
            caller(scope)


async def test_why_in_words_is_in_the_log_and_tokens_are_not(
    app: Application, domain: InMemoryTrustDomain, jwt: JwtVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = [domain.jwt_svid("/other", "orders")]
    tokens += [domain.wrong_jwt_svid(wrong, "/web", "orders") for wrong in WrongJwtSvid]
    for token in tokens:
        await answer(SpiffeMiddleware(app, jwt=jwt), scope_of([bearer(token)]))
    assert "spiffe://example.org/other" in caplog.text
    assert [one.__dict__["reason"] for one in caplog.records][:2] == ["not_authorized", "expired"]
    for token in tokens:
        assert all(part not in caplog.text for part in token.split(".") if part)


async def test_lines_of_the_log_are_not_for_callers_to_write(
    app: Application, domain: InMemoryTrustDomain, jwt: JwtVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for claims in ({"aud": ["x\nroot logged in"]}, {"sub": "spiffe://example.org/a\nroot logged in"}):
        token = domain.jwt_svid("/web", "orders", **claims)
        await answer(SpiffeMiddleware(app, jwt=jwt), scope_of([bearer(token)]))
    assert len(caplog.records) == 2
    assert all("\n" not in one.getMessage() for one in caplog.records)


async def test_a_rule_that_breaks_lets_nobody_in(app: Application, domain: InMemoryTrustDomain) -> None:
    nothing: dict[Any, bool] = {}
    verifier = JwtVerifier(domain, "orders", matching(nothing.__getitem__, "whom the rule admits"))
    with pytest.raises(KeyError):
        await sent(SpiffeMiddleware(app, jwt=verifier), scope_of([bearer(domain.jwt_svid("/web", "orders"))]))
    assert app.scopes == []


def test_a_middleware_that_judges_nothing_is_not_made(app: Application) -> None:
    with pytest.raises(InvalidArgumentError):
        SpiffeMiddleware(app)


async def test_federated_authorities_vouch_for_their_own(app: Application, domain: InMemoryTrustDomain) -> None:
    other = InMemoryTrustDomain("other.example")
    domain.federate(other)
    guarded = SpiffeMiddleware(app, jwt=JwtVerifier(domain, "orders", any_id()), x509=X509Verifier(domain, any_id()))
    status, _, body = await answer(guarded, scope_of([bearer(other.jwt_svid(domain.id("/web"), "orders"))]))
    assert (status, body["reason"]) == (401, Reason.UNKNOWN_KEY.value)
    status, _, body = await answer(guarded, with_chain(other.x509_svid(domain.id("/web"))))
    assert (status, body["reason"]) == (401, Reason.UNTRUSTED.value)
    assert (await answer(guarded, with_chain(other.x509_svid("/web"))))[0] == 200
