"""grpc.aio: no handler is reached by a call whose caller is not known and wanted, whatever kind of call it is."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from assay.authorize import any_id, matching, one_of
from assay.errors import InvalidArgumentError, UnauthenticatedError
from assay.rpcauth import REASON, ServerInterceptor, client_interceptors, current_caller
from assay.svid.refusal import Reason
from assay.testing import InMemorySource, InMemoryTrustDomain, WrongJwtSvid
from assay.verify import JwtVerifier

SERVICE = "test.Whoami"
KINDS = ["UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream", "Written"]
Context = Any


class Whoami:
    """Says who calls, by a method of each kind."""

    def __init__(self, interceptors: Collection[grpc.aio.ServerInterceptor]) -> None:
        self.reached: list[str] = []
        self.server = grpc.aio.server(interceptors=list(interceptors))
        handlers: dict[str, Any] = {
            "UnaryUnary": grpc.unary_unary_rpc_method_handler(self.unary_unary),
            "UnaryStream": grpc.unary_stream_rpc_method_handler(self.unary_stream),
            "StreamUnary": grpc.stream_unary_rpc_method_handler(self.stream_unary),
            "StreamStream": grpc.stream_stream_rpc_method_handler(self.stream_stream),
            "Written": grpc.unary_stream_rpc_method_handler(self.written),
            "NotAsync": grpc.unary_unary_rpc_method_handler(lambda _request, _context: self._who()),
        }
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    def _who(self) -> bytes:
        self.reached.append(str(current_caller().spiffe_id))
        return self.reached[-1].encode()

    async def unary_unary(self, _request: bytes, _context: Context) -> bytes:
        # Others' calls go on meanwhile.
        await asyncio.sleep(0)
        return self._who()

    async def unary_stream(self, _request: bytes, _context: Context) -> AsyncIterator[bytes]:
        yield self._who()

    async def stream_unary(self, requests: AsyncIterator[bytes], _context: Context) -> bytes:
        async for _ in requests:
            pass
        return self._who()

    async def stream_stream(self, requests: AsyncIterator[bytes], _context: Context) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield self._who()

    async def written(self, _request: bytes, context: Context) -> None:
        await context.write(self._who())


@asynccontextmanager
async def serving(*interceptors: grpc.aio.ServerInterceptor) -> AsyncGenerator[tuple[Whoami, str]]:
    service = Whoami(interceptors)
    port = service.server.add_insecure_port("127.0.0.1:0")
    await service.server.start()
    try:
        yield service, f"127.0.0.1:{port}"
    finally:
        await service.server.stop(None)


async def call(
    target: str, kind: str, *metadata: tuple[str, str], interceptors: Collection[grpc.aio.ClientInterceptor] = ()
) -> bytes:
    async with grpc.aio.insecure_channel(target, interceptors=list(interceptors)) as channel:
        return await call_on(channel, kind, *metadata)


async def call_on(channel: grpc.aio.Channel, kind: str, *metadata: tuple[str, str]) -> bytes:
    """What is answered; asked again where the client lost it.

    The client says INTERNAL in place of what the server said when its first message finds the call refused already
    (grpc/grpc#36066).
    """
    while True:
        try:
            return await call_once(channel, kind, *metadata)
        except grpc.aio.AioRpcError as error:
            if "SendMessageOperation" not in (error.debug_error_string() or ""):
                raise


async def call_once(channel: grpc.aio.Channel, kind: str, *metadata: tuple[str, str]) -> bytes:
    method = f"/{SERVICE}/{kind}"
    on: Any = channel
    sent = grpc.aio.Metadata(*metadata)

    async def requests() -> AsyncIterator[bytes]:
        yield b"x"

    match kind:
        case "UnaryStream" | "Written":
            return b"".join([one async for one in on.unary_stream(method)(b"x", metadata=sent, timeout=30)])
        case "StreamUnary":
            return bytes(await on.stream_unary(method)(requests(), metadata=sent, timeout=30))
        case "StreamStream":
            return b"".join([one async for one in on.stream_stream(method)(requests(), metadata=sent, timeout=30)])
        case _:
            return bytes(await on.unary_unary(method)(b"x", metadata=sent, timeout=30))


def bearer(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


@contextlib.contextmanager
def refused(code: grpc.StatusCode, reason: Reason | None) -> Any:  # noqa: ANN401 - a context manager's
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    assert caught.value.code() is code
    trailers = dict(caught.value.trailing_metadata() or ())
    assert trailers.get(REASON) == (reason.value if reason else None)
    # The reason, and no more.
    assert caught.value.details() == (reason.value if reason else caught.value.details())


@pytest.mark.spec("JWT-5.3-a")
@pytest.mark.parametrize("kind", KINDS)
async def test_a_handler_knows_who_calls(domain: InMemoryTrustDomain, verifier: JwtVerifier, kind: str) -> None:
    async with serving(ServerInterceptor(jwt=verifier)) as (service, target):
        token = domain.jwt_svid("/web", "orders")
        assert await call(target, kind, bearer(token)) == b"spiffe://example.org/web"
        assert await call(target, kind, ("authorization", f"bearer {token}")) == b"spiffe://example.org/web"
        # The client's half: the token of a source, with each call.
        sending = client_interceptors(domain.source("/web"), "orders")
        assert await call(target, kind, interceptors=sending) == b"spiffe://example.org/web"
    assert len(service.reached) == 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrong", WrongJwtSvid)
async def test_wrong_tokens_reach_no_handler(
    domain: InMemoryTrustDomain, verifier: JwtVerifier, kind: str, wrong: WrongJwtSvid
) -> None:
    async with serving(ServerInterceptor(jwt=verifier)) as (service, target):
        with refused(grpc.StatusCode.UNAUTHENTICATED, wrong.reason):
            await call(target, kind, bearer(domain.wrong_jwt_svid(wrong, "/web", "orders")))
    assert service.reached == []


@pytest.mark.parametrize("kind", [*KINDS, "Nonexistent"])
async def test_nobody_and_somebody_else_reach_no_handler(
    domain: InMemoryTrustDomain, verifier: JwtVerifier, kind: str
) -> None:
    async with serving(ServerInterceptor(jwt=verifier)) as (service, target):
        with refused(grpc.StatusCode.UNAUTHENTICATED, Reason.NO_CREDENTIAL):
            await call(target, kind)
        with refused(grpc.StatusCode.PERMISSION_DENIED, Reason.NOT_AUTHORIZED):
            await call(target, kind, bearer(domain.jwt_svid("/other", "orders")))
    assert service.reached == []


async def test_only_who_is_known_is_told_that_a_method_does_not_exist(
    domain: InMemoryTrustDomain, verifier: JwtVerifier
) -> None:
    async with serving(ServerInterceptor(jwt=verifier)) as (_, target):
        with refused(grpc.StatusCode.UNIMPLEMENTED, None):
            await call(target, "Nonexistent", bearer(domain.jwt_svid("/web", "orders")))


async def test_without_a_verifier_and_without_tls_nobody_gets_in(domain: InMemoryTrustDomain) -> None:
    async with serving(ServerInterceptor()) as (service, target):
        with refused(grpc.StatusCode.UNAUTHENTICATED, Reason.NO_CREDENTIAL):
            await call(target, "UnaryUnary", bearer(domain.jwt_svid("/web", "orders")))
    assert service.reached == []


@pytest.mark.parametrize(
    "make",
    [
        lambda token: [bearer(token), bearer(token)],
        lambda token: [bearer(token), ("authorization", "Basic eDp5")],
        lambda _: [("authorization", "Basic eDp5")],
        lambda token: [("authorization", token)],
        lambda token: [("authorization", f"Bearer {token}, Bearer {token}")],
        lambda _: [("authorization", "Bearer")],
        lambda _: [("authorization", "")],
    ],
    ids=["twice", "two-schemes", "basic", "no-scheme", "listed", "empty", "nothing"],
)
async def test_authorization_is_one_bearer_token(
    domain: InMemoryTrustDomain, verifier: JwtVerifier, make: Callable[[str], list[tuple[str, str]]]
) -> None:
    async with serving(ServerInterceptor(jwt=verifier)) as (service, target):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(target, "UnaryUnary", *make(domain.jwt_svid("/web", "orders")))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert service.reached == []


async def test_public_methods_are_open_and_have_no_caller(verifier: JwtVerifier) -> None:
    async with serving(ServerInterceptor(jwt=verifier, public=[f"/{SERVICE}/UnaryUnary"])) as (service, target):
        with pytest.raises(grpc.aio.AioRpcError, match="nobody is known"):
            await call(target, "UnaryUnary")
        with refused(grpc.StatusCode.UNAUTHENTICATED, Reason.NO_CREDENTIAL):
            await call(target, "UnaryStream")
    assert service.reached == []


@pytest.mark.parametrize("method", ["", "UnaryUnary", "test.Whoami/UnaryUnary", "/test.Whoami", "*", "/a/b/c"])
def test_public_methods_are_written_as_grpc_does(method: str) -> None:
    with pytest.raises(InvalidArgumentError):
        ServerInterceptor(public=[method])


async def test_who_calls_at_the_same_time_is_told_apart(domain: InMemoryTrustDomain) -> None:
    paths = [f"/caller/{number}" for number in range(20)]
    async with (
        serving(ServerInterceptor(jwt=JwtVerifier(domain, "orders", any_id()))) as (_, target),
        grpc.aio.insecure_channel(target) as channel,
    ):
        answers = await asyncio.gather(
            *(call_on(channel, "UnaryUnary", bearer(domain.jwt_svid(path, "orders"))) for path in paths)
        )
    assert answers == [str(domain.id(path)).encode() for path in paths]
    with pytest.raises(UnauthenticatedError):
        current_caller()


async def test_tokens_are_in_no_log(
    domain: InMemoryTrustDomain, verifier: JwtVerifier, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tokens = [domain.jwt_svid("/other", "orders"), domain.wrong_jwt_svid(WrongJwtSvid.EXPIRED, "/web", "orders")]
    async with serving(ServerInterceptor(jwt=verifier)) as (_, target):
        for token in tokens:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(target, "UnaryUnary", bearer(token))
            assert token not in str(caught.value)
    assert "Call refused" in caplog.text
    for token in tokens:
        assert all(part not in caplog.text for part in token.split("."))


async def test_a_rule_that_breaks_lets_nobody_in(domain: InMemoryTrustDomain) -> None:
    nothing: dict[Any, bool] = {}
    verifier = JwtVerifier(domain, "orders", matching(nothing.__getitem__, "whom the rule admits"))
    async with serving(ServerInterceptor(jwt=verifier)) as (service, target):
        with refused(grpc.StatusCode.UNAVAILABLE, None):
            await call(target, "UnaryUnary", bearer(domain.jwt_svid("/web", "orders")))
    assert service.reached == []


async def test_a_handler_that_is_not_asynchronous_is_not_called(
    domain: InMemoryTrustDomain, verifier: JwtVerifier
) -> None:
    async with serving(ServerInterceptor(jwt=verifier)) as (service, target):
        with pytest.raises(grpc.aio.AioRpcError, match="not asynchronous"):
            await call(target, "NotAsync", bearer(domain.jwt_svid("/web", "orders")))
    assert service.reached == []


async def test_a_refused_stream_is_not_waited_for(verifier: JwtVerifier) -> None:
    async def silence() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async with (
        serving(ServerInterceptor(jwt=verifier)) as (_, target),
        grpc.aio.insecure_channel(target) as channel,
    ):
        stream: Any = channel.stream_unary(f"/{SERVICE}/StreamUnary")
        with refused(grpc.StatusCode.UNAUTHENTICATED, Reason.NO_CREDENTIAL):
            await stream(silence(), timeout=30)


@pytest.mark.parametrize("kind", KINDS)
async def test_each_call_brings_a_fresh_token_and_one_only(
    domain: InMemoryTrustDomain, verifier: JwtVerifier, kind: str
) -> None:
    class Counting(InMemorySource):
        fetched = 0

        async def fetch(self, audience: Any, spiffe_id: Any = None) -> Any:  # noqa: ANN401 - as it comes
            self.fetched += 1
            return await super().fetch(audience, spiffe_id)

    source = Counting(domain, domain.id("/web"))
    sending = client_interceptors(source, "orders")
    async with serving(ServerInterceptor(jwt=verifier)) as (_, target):
        for _ in range(2):
            assert await call(target, kind, bearer("of-yesterday"), ("x-other", "kept"), interceptors=sending)
    assert source.fetched == 2


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_token_no_call_is_made(verifier: JwtVerifier, kind: str) -> None:
    class Broken:
        async def fetch(self, _audience: object) -> Any:  # noqa: ANN401 - as it comes
            raise UnauthenticatedError("no identity")

    async with serving(ServerInterceptor(jwt=verifier)) as (service, target):
        with pytest.raises((UnauthenticatedError, grpc.aio.AioRpcError)):
            await call(target, kind, interceptors=client_interceptors(Broken(), "orders"))
    assert service.reached == []


async def test_one_of_does_not_admit_another_trust_domain(domain: InMemoryTrustDomain) -> None:
    other = InMemoryTrustDomain("other.example")
    domain.federate(other)
    verifier = JwtVerifier(domain, "orders", one_of(domain.id("/web")))
    async with serving(ServerInterceptor(jwt=verifier)) as (_, target):
        with refused(grpc.StatusCode.UNAUTHENTICATED, Reason.UNKNOWN_KEY):
            await call(target, "UnaryUnary", bearer(other.jwt_svid(domain.id("/web"), "orders")))
