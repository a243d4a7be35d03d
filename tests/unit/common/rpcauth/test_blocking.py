"""grpc without asyncio: the same, in threads that are used again."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from assay.authorize import any_id
from assay.errors import UnauthenticatedError
from assay.rpcauth import REASON
from assay.rpcauth.blocking import ClientInterceptor, ServerInterceptor, current_caller
from assay.svid import JwtSvid, jwt
from assay.svid.refusal import Reason
from assay.testing import InMemoryTrustDomain, WrongJwtSvid
from assay.verify import JwtVerifier

SERVICE = "test.Whoami"
KINDS = ["UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream"]


class Source:
    """Tokens of one workload, as a JwtSource of `blocking` gives them."""

    def __init__(self, domain: InMemoryTrustDomain, path: str) -> None:
        self._domain, self._path = domain, path
        self.fetched = 0

    def fetch(self, audience: Any, /) -> JwtSvid:  # noqa: ANN401 - as it comes
        self.fetched += 1
        return jwt.parse(self._domain.jwt_svid(self._path, audience))


class Whoami:
    """Says who calls, by a method of each kind."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.closed = threading.Event()
        handlers: dict[str, Any] = {
            "UnaryUnary": grpc.unary_unary_rpc_method_handler(lambda _request, _context: self._who()),
            "UnaryStream": grpc.unary_stream_rpc_method_handler(self.unary_stream),
            "StreamUnary": grpc.stream_unary_rpc_method_handler(self.stream_unary),
            "StreamStream": grpc.stream_stream_rpc_method_handler(self.stream_stream),
            "Endless": grpc.unary_stream_rpc_method_handler(self.endless),
        }
        self.handler = grpc.method_handlers_generic_handler(SERVICE, handlers)

    def _who(self) -> bytes:
        self.reached.append(str(current_caller().spiffe_id))
        return self.reached[-1].encode()

    def unary_stream(self, _request: bytes, _context: object) -> Iterator[bytes]:
        yield self._who()

    def stream_unary(self, requests: Iterator[bytes], _context: object) -> bytes:
        list(requests)
        return self._who()

    def stream_stream(self, requests: Iterator[bytes], _context: object) -> Iterator[bytes]:
        for _ in requests:
            yield self._who()

    def endless(self, _request: bytes, _context: object) -> Iterator[bytes]:
        try:
            while True:
                yield self._who()
        finally:
            self._who()
            self.closed.set()


@contextmanager
def serving(verifier: JwtVerifier, *public: str, workers: int = 1) -> Iterator[tuple[Whoami, str]]:
    service = Whoami()
    with ThreadPoolExecutor(workers) as pool:
        server = grpc.server(pool, interceptors=[ServerInterceptor(jwt=verifier, public=public)])
        server.add_generic_rpc_handlers((service.handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield service, f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


def call(target: str, kind: str, *metadata: tuple[str, str], source: Source | None = None) -> bytes:
    with grpc.insecure_channel(target) as plain:
        channel: Any = plain if source is None else grpc.intercept_channel(plain, ClientInterceptor(source, "orders"))
        method, requests = f"/{SERVICE}/{kind}", iter([b"x"])
        match kind:
            case "UnaryStream":
                return b"".join(channel.unary_stream(method)(b"x", metadata=metadata, timeout=30))
            case "StreamUnary":
                return bytes(channel.stream_unary(method)(requests, metadata=metadata, timeout=30))
            case "StreamStream":
                return b"".join(channel.stream_stream(method)(requests, metadata=metadata, timeout=30))
            case _:
                return bytes(channel.unary_unary(method)(b"x", metadata=metadata, timeout=30))


def refusal(target: str, kind: str, *metadata: tuple[str, str]) -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.RpcError) as caught:
        call(target, kind, *metadata)
    error: Any = caught.value
    return error.code(), dict(error.trailing_metadata()).get(REASON)


def bearer(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


@pytest.mark.spec("JWT-5.3-a")
@pytest.mark.parametrize("kind", KINDS)
def test_a_handler_knows_who_calls(domain: InMemoryTrustDomain, verifier: JwtVerifier, kind: str) -> None:
    source = Source(domain, "/web")
    with serving(verifier) as (service, target):
        assert call(target, kind, bearer(domain.jwt_svid("/web", "orders"))) == b"spiffe://example.org/web"
        assert call(target, kind, bearer("of-yesterday"), source=source) == b"spiffe://example.org/web"
    assert len(service.reached) == 2
    assert source.fetched == 1


@pytest.mark.parametrize("kind", [*KINDS, "Nonexistent"])
def test_others_reach_no_handler(domain: InMemoryTrustDomain, verifier: JwtVerifier, kind: str) -> None:
    with serving(verifier) as (service, target):
        for wrong in WrongJwtSvid:
            token = domain.wrong_jwt_svid(wrong, "/web", "orders")
            assert refusal(target, kind, bearer(token)) == (grpc.StatusCode.UNAUTHENTICATED, wrong.reason.value)
        other = domain.jwt_svid("/other", "orders")
        denied = grpc.StatusCode.PERMISSION_DENIED, Reason.NOT_AUTHORIZED.value
        assert refusal(target, kind, bearer(other)) == denied
        nobody = grpc.StatusCode.UNAUTHENTICATED, Reason.NO_CREDENTIAL.value
        assert refusal(target, kind) == nobody
        web = domain.jwt_svid("/web", "orders")
        twice = grpc.StatusCode.UNAUTHENTICATED, Reason.MALFORMED.value
        assert refusal(target, kind, bearer(web), bearer(web)) == twice
    assert service.reached == []


def test_only_who_is_known_is_told_that_a_method_does_not_exist(
    domain: InMemoryTrustDomain, verifier: JwtVerifier
) -> None:
    with serving(verifier) as (_, target):
        found = refusal(target, "Nonexistent", bearer(domain.jwt_svid("/web", "orders")))
    assert found == (grpc.StatusCode.UNIMPLEMENTED, None)


def test_no_caller_is_left_in_a_thread_for_the_next_call(domain: InMemoryTrustDomain) -> None:
    verifier = JwtVerifier(domain, "orders", any_id())
    with serving(verifier, f"/{SERVICE}/UnaryUnary") as (service, target):
        assert call(target, "UnaryStream", bearer(domain.jwt_svid("/web", "orders"))) == b"spiffe://example.org/web"
        assert call(target, "StreamStream", bearer(domain.jwt_svid("/api", "orders"))) == b"spiffe://example.org/api"
        # The pool has one thread.
        code, _ = refusal(target, "UnaryUnary")
        assert code is grpc.StatusCode.UNKNOWN
    assert len(service.reached) == 2
    with pytest.raises(UnauthenticatedError):
        current_caller()


def test_callers_at_the_same_time_are_told_apart(domain: InMemoryTrustDomain) -> None:
    paths = [f"/caller/{number}" for number in range(20)]
    with (
        serving(JwtVerifier(domain, "orders", any_id()), workers=8) as (_, target),
        ThreadPoolExecutor(8) as callers,
    ):
        answers = list(callers.map(lambda path: call(target, "UnaryStream", source=Source(domain, path)), paths))
    assert answers == [str(domain.id(path)).encode() for path in paths]


def test_a_stream_that_the_client_leaves_is_closed_and_knows_its_caller(
    domain: InMemoryTrustDomain, verifier: JwtVerifier
) -> None:
    with serving(verifier) as (service, target), grpc.insecure_channel(target) as channel:
        method: Any = channel.unary_stream(f"/{SERVICE}/Endless")
        answers = method(b"x", metadata=[bearer(domain.jwt_svid("/web", "orders"))], timeout=30)
        assert next(answers) == b"spiffe://example.org/web"
        answers.cancel()
        assert service.closed.wait(30)
