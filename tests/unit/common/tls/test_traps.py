"""Ways around the look at the peer that a program may take, by mistake or misled."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from assay.authorize import any_id, one_of
from assay.errors import InvalidArgumentError
from assay.svid.refusal import Reason
from assay.testing import InMemorySource, InMemoryTrustDomain
from assay.testing.handshake import Handshakes, careless
from assay.tls import PeerRefusedError, SpiffeContext, client_context, peer_chain, peer_id, refusal_of, server_context

SECRET = b"secret"


@pytest.fixture
def stranger(domain: InMemoryTrustDomain) -> InMemorySource:
    """Valid, and wanted by nobody."""
    return domain.source("/stranger")


@pytest.fixture
def talking(stranger: InMemorySource) -> Iterator[socket.socket]:
    """Connected to a server nobody wants, which says something as soon as hands are shaken."""
    near, far = socket.socketpair()
    heard: list[bytes] = []

    def serve() -> None:
        try:
            with careless(stranger.svid(), server=True).wrap_socket(near, server_side=True) as served:
                served.sendall(b"x" * 100)
                heard.append(served.recv(100))
        except OSError:
            pass

    thread = threading.Thread(target=serve)
    thread.start()
    with far, near:
        far.settimeout(30)
        yield far
        far.close()
        thread.join()
        assert SECRET not in heard


USES: dict[str, Callable[[ssl.SSLSocket], object]] = {
    "recv": lambda one: one.recv(4),
    "recv_into": lambda one: one.recv_into(bytearray(4)),
    "read": lambda one: one.read(4),
    "send": lambda one: one.send(SECRET),
    "sendall": lambda one: one.sendall(SECRET),
    "write": lambda one: one.write(SECRET),
    "makefile": lambda one: one.makefile("rb").read(4),
    "do_handshake": lambda one: one.do_handshake(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_a_socket_used_before_the_handshake_does_it_with_the_look(
    talking: socket.socket, client: SpiffeContext, use: Callable[[ssl.SSLSocket], object]
) -> None:
    wrapped = client.wrap_socket(talking, do_handshake_on_connect=False)
    with wrapped, pytest.raises(PeerRefusedError) as caught:
        use(wrapped)
    assert caught.value.refusal.reason is Reason.NOT_AUTHORIZED


@pytest.mark.parametrize("use", [one for one in USES if one != "makefile"])
def test_who_was_refused_stays_refused_and_the_socket_is_closed(
    talking: socket.socket, client: SpiffeContext, use: str
) -> None:
    wrapped = client.wrap_socket(talking, do_handshake_on_connect=False)
    with pytest.raises(PeerRefusedError):
        wrapped.do_handshake()
    assert wrapped.fileno() == -1
    with pytest.raises((OSError, ValueError)):
        USES[use](wrapped)
    for ask in (peer_id, peer_chain):
        with pytest.raises(InvalidArgumentError, match="not over, or failed"):
            ask(wrapped)


def test_a_socket_wrapped_before_it_connects_sends_nothing_in_the_clear(
    stranger: InMemorySource, client: SpiffeContext
) -> None:
    heard: list[bytes] = []

    def serve(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            try:
                wrapped = careless(stranger.svid(), server=True).wrap_socket(connection, server_side=True)
                heard.append(wrapped.recv(100))
                wrapped.close()
            except OSError:
                pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,))
        thread.start()
        wrapped = client.wrap_socket(socket.socket())
        with pytest.raises(PeerRefusedError):
            wrapped.connect(listening.getsockname())
        with pytest.raises(OSError):
            wrapped.send(SECRET)
        thread.join()
    assert heard in ([], [b""])


def test_a_socket_that_connects_in_the_background(stranger: InMemorySource, client: SpiffeContext) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        plain = socket.socket()
        plain.setblocking(False)
        with client.wrap_socket(plain, do_handshake_on_connect=False) as wrapped:
            wrapped.connect_ex(listening.getsockname())
            accepted, _ = listening.accept()
            wrapped.setblocking(True)
            thread = threading.Thread(target=shake_and_close, args=(careless(stranger.svid(), server=True), accepted))
            thread.start()
            with pytest.raises(PeerRefusedError):
                wrapped.send(SECRET)
            thread.join()


def shake_and_close(context: ssl.SSLContext, accepted: socket.socket) -> None:
    with accepted, contextlib.suppress(OSError):
        context.wrap_socket(accepted, server_side=True).close()


def test_a_non_blocking_socket(server: SpiffeContext, client: SpiffeContext, domain: InMemoryTrustDomain) -> None:
    near, far = socket.socketpair()
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        ends = [
            server.wrap_socket(near, server_side=True, do_handshake_on_connect=False),
            client.wrap_socket(far, do_handshake_on_connect=False),
        ]
        with pytest.raises(ssl.SSLWantReadError):
            ends[1].recv(1)
        with pytest.raises(InvalidArgumentError, match="not over"):
            peer_id(ends[1])
        done: set[int] = set()
        while len(done) < 2:
            for number, one in enumerate(ends):
                try:
                    one.do_handshake()
                    done.add(number)
                except ssl.SSLWantReadError:
                    pass
        assert [peer_id(one) for one in ends] == [domain.id("/api"), domain.id("/web")]
        for one in ends:
            one.close()


class Memory:
    """Both ends in memory, as event loops have them."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
        up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(up, down, server_side=True)
        self.client = client.wrap_bio(down, up)

    def shake(self) -> None:
        """As far as it goes."""
        for one in (self.client, self.server, self.client, self.server):
            with contextlib.suppress(ssl.SSLWantReadError):
                one.do_handshake()


MEMORY_USES: dict[str, Callable[[ssl.SSLObject], object]] = {
    "do_handshake": lambda one: one.do_handshake(),
    "read": lambda one: one.read(1),
    "read_into": lambda one: one.read(1, bytearray(1)),
    "write": lambda one: one.write(SECRET),
}


@pytest.mark.parametrize("use", MEMORY_USES.values(), ids=MEMORY_USES.keys())
def test_a_connection_in_memory_that_was_refused_stays_refused(
    domain: InMemoryTrustDomain, client: SpiffeContext, use: Callable[[ssl.SSLObject], object]
) -> None:
    memory = Memory(server_context(domain.source("/stranger"), any_id()), client)
    with pytest.raises(PeerRefusedError):
        memory.shake()
    for _ in range(2):
        with pytest.raises(PeerRefusedError):
            use(memory.client)
    with pytest.raises(InvalidArgumentError, match="failed"):
        peer_id(memory.client)


@pytest.mark.parametrize("use", MEMORY_USES.values(), ids=MEMORY_USES.keys())
def test_a_connection_in_memory_that_is_used_before_the_handshake_does_it_with_the_look(
    domain: InMemoryTrustDomain, client: SpiffeContext, use: Callable[[ssl.SSLObject], object]
) -> None:
    memory = Memory(server_context(domain.source("/stranger"), any_id()), client)
    with pytest.raises(ssl.SSLWantReadError):
        memory.client.read(1)
    with pytest.raises(ssl.SSLWantReadError):
        memory.server.do_handshake()
    with pytest.raises(PeerRefusedError):
        use(memory.client)


def test_a_handshake_that_is_done_may_be_asked_for_again(server: SpiffeContext, client: SpiffeContext) -> None:
    memory = Memory(server, client)
    memory.shake()
    known = peer_id(memory.server)
    memory.shake()
    assert peer_id(memory.server) == known
    memory.client.write(b"hello")
    assert memory.server.read(5) == b"hello"


def test_another_context_put_under_a_connection_takes_nobody(server: SpiffeContext, client: SpiffeContext) -> None:
    memory = Memory(server, client)
    memory.client.context = careless()
    with pytest.raises(ssl.SSLError, match="the context that made them"):
        memory.shake()


def test_who_it_is_cannot_be_asked_for_again_after_the_handshake(shake: Handshakes) -> None:
    domain = InMemoryTrustDomain()
    changing = careless(domain.x509_svid("/api"))
    changing.post_handshake_auth = True
    server = server_context(domain.source("/web"), any_id())
    server.post_handshake_auth = True
    served, _ = shake(server, changing)
    with pytest.raises(InvalidArgumentError, match="settled in the handshake"):
        served.open.verify_client_post_handshake()
    memory = Memory(server, client_context(domain.source("/api"), any_id()))
    memory.shake()
    with pytest.raises(InvalidArgumentError, match="settled in the handshake"):
        memory.server.verify_client_post_handshake()


def test_after_tls_has_ended_the_socket_is_a_plain_one_of_a_known_peer(
    shake: Handshakes, server: SpiffeContext, client: SpiffeContext
) -> None:
    served, called = shake(server, client)
    thread = threading.Thread(target=called.open.unwrap)
    thread.start()
    served.open.unwrap()
    thread.join()
    served.open.send(b"plain")
    assert called.open.recv(5) == b"plain"


def test_settings_that_would_weaken_it_do_nothing(shake: Handshakes, domain: InMemoryTrustDomain) -> None:
    server = server_context(domain.source("/web"), one_of(domain.id("/api")))
    client = client_context(domain.source("/api"), one_of(domain.id("/web")))
    for one in (server, client):
        one.verify_mode = ssl.CERT_NONE
        one.options &= ~(ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET)
    served, _ = shake(server, careless(domain.x509_svid("/other")))
    _, called = shake(careless(domain.x509_svid("/other"), server=True), client)
    assert served.refusal.reason is called.refusal.reason is Reason.NOT_AUTHORIZED
    served, _ = shake(server, careless())
    assert served.connection is None


def test_the_context_itself_makes_no_connection_behind_its_back(client: SpiffeContext, talking: socket.socket) -> None:
    bare = ssl.SSLSocket._create(talking, context=client, do_handshake_on_connect=False)  # type: ignore[attr-defined]
    with pytest.raises(ssl.SSLError):
        bare.do_handshake()
    bare.close()


def test_what_is_no_connection_from_here_has_no_peer(shake: Handshakes) -> None:
    plain, other = socket.socketpair()
    with plain, other, pytest.raises(AttributeError):
        peer_id(plain)  # type: ignore[arg-type]
    domain = InMemoryTrustDomain()
    _, called = shake(server_context(domain.source("/web"), any_id()), careless(domain.x509_svid("/api")))
    with pytest.raises(InvalidArgumentError, match=r"no TLS connection|not a TLS connection"):
        peer_id(called.open)


def test_refusals_are_found_beneath_other_errors() -> None:
    assert refusal_of(None) is None
    assert refusal_of(ValueError("x")) is None
    looped = ValueError("x")
    looped.__cause__ = ValueError("y")
    looped.__cause__.__context__ = looped
    assert refusal_of(looped) is None
