import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from assay.errors import InvalidArgumentError, UnauthenticatedError, UnavailableError
from assay.keymanager import SigningKey
from assay.spiffeid import SpiffeId
from assay.svid import X509Svid
from assay.testing.authority import HOUR, Authority, Ca, ca_extensions, leaf_extensions
from assay.testing.clock import FakeClock
from assay.testing.echo import Context, Echo, EchoStub
from assay.testing.wait import until
from assay.transport.dial import SpiffeDialer, dial_unix
from assay.transport.front import Front
from assay.transport.limits import Limits
from assay.transport.peer import TlsPeer
from assay.transport.tls import TlsIdentity

SERVER = "/spire/server"


class Agent:
    """What a dialler asks for at each handshake; a test changes it in between."""

    def __init__(self, home: Authority, clock: FakeClock) -> None:
        self.roots: Sequence[bytes] = [home.root.der]
        self.svid: X509Svid | None = home.x509_svid("/agent")
        self.expected = home.id(SERVER)
        self.clock = clock

    def identity(self) -> tuple[Sequence[bytes], SigningKey] | None:
        if self.svid is None or self.svid.key is None:
            return None
        return self.svid.chain, self.svid.key

    def dial(self, port: int, *, host: str = "127.0.0.1", insecure: bool = False, patience: float = 10) -> SpiffeDialer:
        return SpiffeDialer(
            host,
            port,
            expected=self.expected,
            roots=lambda: self.roots,
            identity=self.identity,
            clock=self.clock,
            insecure=insecure,
            limits=Limits(connect=patience, handshake=patience, linger=0.1),
        )


@pytest.fixture
def agent(home: Authority, clock: FakeClock) -> Agent:
    return Agent(home, clock)


@pytest.fixture
def callers(echo: Echo, front: Front) -> list[SpiffeId | None]:
    """Who made each call, as the front told the handler."""
    found: list[SpiffeId | None] = []

    def on_call(context: Context) -> None:
        peer = front.peer(context)
        assert isinstance(peer, TlsPeer)
        found.append(peer.spiffe_id)

    echo.on_call = on_call
    return found


async def refusal(dialer: SpiffeDialer) -> Exception:
    """Why a call does not get through."""
    async with dialer as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await EchoStub(channel).unary(b"hello")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        await until(lambda: dialer.last_error is not None)
    assert dialer.last_error is not None
    return dialer.last_error


async def test_both_ends_learn_who_the_other_is(port: int, agent: Agent, callers: list[SpiffeId | None]) -> None:
    dialer = agent.dial(port)
    async with dialer as channel:
        assert await EchoStub(channel).unary(b"hello") == b"hello"
    assert callers == [agent.svid.spiffe_id if agent.svid else None]
    assert X509Svid.parse(dialer.peer_chain).spiffe_id == agent.expected
    assert dialer.last_error is None


async def test_an_agent_without_svid_is_anonymous(port: int, agent: Agent, callers: list[SpiffeId | None]) -> None:
    agent.svid = None
    async with agent.dial(port) as channel:
        await EchoStub(channel).unary(b"hello")
    assert callers == [None]


async def test_a_server_is_dialled_by_name_as_well(port: int, agent: Agent) -> None:
    async with agent.dial(port, host="localhost") as channel:
        assert await EchoStub(channel).unary(b"hello") == b"hello"


async def test_calls_share_one_connection(front: Front, port: int, agent: Agent) -> None:
    async with agent.dial(port) as channel:
        stub = EchoStub(channel)

        async def call(number: int) -> bytes:
            return await stub.unary(b"%d" % number)

        assert await asyncio.gather(*map(call, range(50))) == [b"%d" % number for number in range(50)]
        assert front.connections == 1


async def test_a_server_with_another_id_is_refused(port: int, agent: Agent, home: Authority) -> None:
    agent.expected = home.id("/other")
    error = await refusal(agent.dial(port))
    assert isinstance(error, UnauthenticatedError)
    assert error.message == f'expected server SPIFFE ID "{home.id("/other")}"; got "{home.id(SERVER)}"'


async def test_a_server_of_another_trust_domain_is_refused(port: int, agent: Agent, abroad: Authority) -> None:
    agent.expected = abroad.id(SERVER)
    agent.roots = [abroad.root.der]
    assert isinstance(await refusal(agent.dial(port)), UnauthenticatedError)


async def test_a_server_that_an_unknown_root_vouches_for_is_refused(port: int, agent: Agent, abroad: Authority) -> None:
    agent.roots = [abroad.root.der]
    assert isinstance(await refusal(agent.dial(port)), UnauthenticatedError)


async def test_without_roots_no_server_is_taken(port: int, agent: Agent) -> None:
    agent.roots = []
    assert isinstance(await refusal(agent.dial(port)), UnauthenticatedError)


async def test_a_server_with_an_expired_svid_is_refused(port: int, agent: Agent) -> None:
    agent.clock.advance(2 * HOUR)
    assert isinstance(await refusal(agent.dial(port)), UnauthenticatedError)


async def test_a_refused_server_sees_no_byte_of_the_call(
    front: Front, port: int, agent: Agent, home: Authority, callers: list[SpiffeId | None]
) -> None:
    agent.expected = home.id("/other")
    await refusal(agent.dial(port))
    await until(lambda: front.connections == 0)
    assert callers == []


async def test_an_insecure_bootstrap_shows_the_chain_of_a_server_it_cannot_verify(
    port: int, agent: Agent, identity: TlsIdentity
) -> None:
    agent.roots, agent.svid = [], None
    dialer = agent.dial(port, insecure=True)
    async with dialer as channel:
        assert await EchoStub(channel).unary(b"hello") == b"hello"
    assert X509Svid.parse(dialer.peer_chain).spiffe_id.member_of(identity.trust_domain)


async def test_an_insecure_bootstrap_still_wants_the_expected_name(port: int, agent: Agent, home: Authority) -> None:
    agent.expected = home.id("/other")
    assert isinstance(await refusal(agent.dial(port, insecure=True)), UnauthenticatedError)


async def test_a_server_that_refuses_our_svid_is_told_from_one_that_is_away(
    port: int, agent: Agent, home: Authority, clock: FakeClock
) -> None:
    agent.svid = Authority(home.trust_domain.name, now=clock.now()).x509_svid("/agent")
    error = await refusal(agent.dial(port))
    assert isinstance(error, UnavailableError)
    assert "ended the connection before it answered" in error.message
    assert "may not trust" in error.hint


async def test_redialling_uses_the_roots_and_the_identity_of_that_moment(
    front: Front,
    port: int,
    agent: Agent,
    home: Authority,
    identity: TlsIdentity,
    clock: FakeClock,
    callers: list[SpiffeId | None],
) -> None:
    dialer = agent.dial(port)
    async with dialer as channel:
        stub = EchoStub(channel)
        await stub.unary(b"hello")
        first = dialer.peer_chain

        successor = Authority(home.trust_domain.name, now=clock.now())
        server = successor.x509_svid(SERVER)
        assert server.key
        identity.set(server.chain, server.key, {home.trust_domain: [successor.root.der]})
        agent.roots = [successor.root.der]
        agent.svid = successor.x509_svid("/renewed")
        for pump in list(front._pumps):
            pump.abort()
        await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        assert await stub.unary(b"again", wait_for_ready=True) == b"again"
    # OpenSSL may add the root.
    assert dialer.peer_chain[0] == server.chain[0] != first[0]
    assert callers == [home.id("/agent"), home.id("/renewed")]


async def test_a_server_that_comes_back_is_found_again(port: int, agent: Agent, home: Authority) -> None:
    agent.roots = []
    dialer = agent.dial(port)
    async with dialer as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await EchoStub(channel).unary(b"hello")
        agent.roots = [home.root.der]
        assert await EchoStub(channel).unary(b"hello", wait_for_ready=True) == b"hello"
    assert dialer.last_error is None


async def test_the_server_is_reached_though_temporary_files_were_cleaned_up(port: int, agent: Agent) -> None:
    dialer = agent.dial(port)
    async with dialer as channel:
        shutil.rmtree(dialer._folder.path)
        assert await EchoStub(channel).unary(b"hello") == b"hello"


async def test_subject_and_issuer_of_one_name_do_not_make_a_certificate_self_signed(
    front: Front, agent: Agent, home: Authority, identity: TlsIdentity
) -> None:
    root = unnamed_root(home)
    name = root.certificate.subject
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(7).not_valid_before(root.certificate.not_valid_before_utc)
    builder = builder.not_valid_after(root.certificate.not_valid_after_utc)
    for extension, critical in leaf_extensions(str(agent.expected)):
        builder = builder.add_extension(extension, critical=critical)
    leaf = builder.sign(root.key, hashes.SHA256()).public_bytes(Encoding.DER)
    identity.set([leaf], key, {home.trust_domain: [root.der]})
    port = await front.listen_tls("127.0.0.1", 0, identity)
    agent.roots, agent.svid = [root.der], None
    async with agent.dial(port) as channel:
        assert await EchoStub(channel).unary(b"hello") == b"hello"


def unnamed_root(home: Authority) -> Ca:
    """A root without key identifiers."""
    key = home.root.key
    name = home.root.certificate.subject
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(6).not_valid_before(home.root.certificate.not_valid_before_utc)
    builder = builder.not_valid_after(home.root.certificate.not_valid_after_utc)
    for extension, critical in ca_extensions():
        builder = builder.add_extension(extension, critical=critical)
    return Ca(builder.sign(key, hashes.SHA256()), key)


async def test_nobody_there(agent: Agent) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = await refusal(agent.dial(free.getsockname()[1]))
    assert isinstance(error, UnavailableError)
    assert "could not connect to 127.0.0.1:" in error.message


@pytest.fixture
async def mute() -> AsyncIterator[int]:
    """The port of a server that takes connections and says nothing."""
    writers: list[asyncio.StreamWriter] = []

    def accept(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    for writer in writers:
        writer.close()
    server.close()


async def test_a_server_that_does_not_complete_the_handshake_is_given_up(mute: int, agent: Agent) -> None:
    error = await refusal(agent.dial(mute, patience=0.05))
    assert isinstance(error, UnavailableError)


async def test_closing_gives_up_a_dial_under_way(mute: int, agent: Agent) -> None:
    dialer = agent.dial(mute)
    async with dialer as channel:
        call = EchoStub(channel).unary(b"hello")
        await until(lambda: bool(dialer._listener._tasks))
    assert not dialer._listener._tasks
    with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
        await call


async def test_another_process_cannot_use_our_connection(front: Front, port: int, agent: Agent) -> None:
    dialer = agent.dial(port)
    code = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(1))"
    async with dialer:
        path = str(dialer._folder.socket)
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-SEc", code, path], capture_output=True, check=True
        )
    assert done.stdout == b"b''\n"
    assert front.connections == 0


async def test_closing_ends_connections_and_removes_the_private_folder(front: Front, port: int, agent: Agent) -> None:
    dialer = agent.dial(port)
    async with dialer as channel:
        folder = dialer._folder.path
        call = EchoStub(channel).hold(b"x")
        assert await call.read() == b"x"
        assert folder.exists()
    assert not folder.exists()
    await until(lambda: front.connections == 0)


def test_a_unix_path_longer_than_an_address_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="longer than 107 bytes"):
        dial_unix(Path("/" + "s" * 107))
