"""What TLS clients that are not ours meet at the front; OpenSSL's own client is driven in a thread."""

import asyncio
import contextlib
import os
import socket
import ssl
import warnings
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.svid import X509Svid
from assay.testing.authority import Authority, Ca, leaf_extensions
from assay.testing.clock import FakeClock
from assay.testing.echo import FLOOD, UNARY, Context, Echo, raw_call
from assay.testing.wait import until
from assay.transport.front import Front
from assay.transport.limits import Limits
from assay.transport.peer import TlsPeer
from assay.transport.pump import HIGH_WATER
from assay.transport.room import Room
from assay.transport.tls import TlsIdentity, present

ONE_READ = 256 * 1024
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@dataclass
class Answer:
    """What a client got: whether its call was answered, on which session, by which certificate."""

    data: bytes = b""
    session: ssl.SSLSession | None = None
    resumed: bool = False
    certificate: bytes = b""


@dataclass
class Client:
    """OpenSSL's client, which trusts everyone."""

    port: int
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    alpn: tuple[str, ...] = ("h2",)
    server_name: str | None = None
    svid: X509Svid | None = None
    context: ssl.SSLContext = field(init=False)

    def __post_init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self.context.minimum_version = self.context.maximum_version = self.version
        if self.version < ssl.TLSVersion.TLSv1_2:
            self.context.set_ciphers("ALL:@SECLEVEL=0")
        if self.alpn:
            self.context.set_alpn_protocols(self.alpn)
        if self.svid is not None:
            assert self.svid.key
            present(self.context, self.svid.chain, self.svid.key)

    async def call(self, session: ssl.SSLSession | None = None) -> Answer:
        """Make one call; an empty answer if the server ends the connection instead."""
        return await asyncio.to_thread(self._call, session)

    def _call(self, session: ssl.SSLSession | None) -> Answer:
        answer = Answer()
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain,
                self.context.wrap_socket(plain, server_hostname=self.server_name, session=session) as connection,
            ):
                answer.certificate = connection.getpeercert(binary_form=True) or b""
                connection.sendall(raw_call(UNARY, b"hello"))
                while b"hello" not in answer.data and (more := connection.recv(4096)):
                    answer.data += more
                answer.session = connection.session
                answer.resumed = bool(connection.session_reused)
        except (ssl.SSLError, ConnectionError):
            return Answer()
        return answer


@pytest.fixture
def peers(echo: Echo, front: Front) -> list[TlsPeer]:
    """Who made each call, as the front told the handler."""
    found: list[TlsPeer] = []

    def on_call(context: Context) -> None:
        peer = front.peer(context)
        assert isinstance(peer, TlsPeer)
        found.append(peer)

    echo.on_call = on_call
    return found


def trust(identity: TlsIdentity, server: X509Svid, *authorities: Authority) -> None:
    assert server.key
    identity.set(server.chain, server.key, {one.trust_domain: [one.root.der] for one in authorities})


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_client_is_known_by_its_svid(
    port: int, home: Authority, peers: list[TlsPeer], version: ssl.TLSVersion
) -> None:
    svid = home.x509_svid("/agent")
    answer = await Client(port, version, svid=svid).call()
    assert b"hello" in answer.data
    (peer,) = peers
    assert peer.spiffe_id == home.id("/agent")
    assert [one.public_bytes(Encoding.DER) for one in peer.chain] == list(svid.chain)
    assert peer.address.startswith("127.0.0.1:")


async def test_intermediates_are_part_of_the_chain(port: int, home: Authority, peers: list[TlsPeer]) -> None:
    issuer = Ca.create("intermediate", issuer=home.root, now=home.now)
    await Client(port, svid=home.x509_svid("/agent", issuer=issuer)).call()
    assert peers[0].spiffe_id == home.id("/agent")
    assert len(peers[0].chain) == 2


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_client_without_certificate_is_anonymous(
    port: int, peers: list[TlsPeer], version: ssl.TLSVersion
) -> None:
    assert (await Client(port, version).call()).data
    assert peers[0].spiffe_id is None
    assert peers[0].chain == ()


@pytest.mark.parametrize("server_name", [None, "localhost", "elsewhere.test"])
async def test_a_client_may_name_any_server_or_none(port: int, server_name: str | None) -> None:
    assert (await Client(port, server_name=server_name).call()).data


async def test_old_versions_of_tls_are_refused(port: int) -> None:
    assert not (await Client(port, ssl.TLSVersion.TLSv1_1).call()).data


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
async def test_a_client_that_does_not_speak_http2_is_refused(port: int, alpn: tuple[str, ...]) -> None:
    assert not (await Client(port, alpn=alpn).call()).data


class TestRefused:
    """Client certificates that end the connection; an anonymous client right after shows that it is served still."""

    @pytest.fixture(autouse=True)
    async def refused(self, port: int, peers: list[TlsPeer]) -> object:
        yield
        assert peers == []
        assert (await Client(port).call()).data

    @pytest.mark.parametrize("version", VERSIONS)
    @pytest.mark.spec("FED-4.2-e", "FED-7.3-a", "X509-5.1-b", "X509-5.2-f")
    async def test_a_foreign_authority_that_vouches_for_our_id(
        self, port: int, home: Authority, abroad: Authority, version: ssl.TLSVersion
    ) -> None:
        extensions = leaf_extensions(str(home.id("/agent")))
        leaf, key = abroad.root.issue(extensions, now=home.now)
        forged = X509Svid.parse([leaf], key)
        assert not (await Client(port, version, svid=forged).call()).data

    async def test_an_unknown_authority(self, port: int, home: Authority, clock: FakeClock) -> None:
        unknown = Authority(home.trust_domain.name, now=clock.now())
        assert not (await Client(port, svid=unknown.x509_svid("/agent")).call()).data

    async def test_a_federated_id_that_is_not_admitted(self, port: int, abroad: Authority) -> None:
        assert not (await Client(port, svid=abroad.x509_svid("/other")).call()).data

    async def test_an_expired_svid(self, port: int, home: Authority, clock: FakeClock) -> None:
        expired = home.x509_svid("/agent", now=clock.now() - timedelta(hours=2))
        assert not (await Client(port, svid=expired).call()).data

    async def test_an_svid_that_has_expired_by_our_clock(self, port: int, home: Authority, clock: FakeClock) -> None:
        svid = home.x509_svid("/agent")
        clock.advance(2 * 3600)
        assert not (await Client(port, svid=svid).call()).data

    @pytest.mark.parametrize("names", [(), ("spiffe://home.test/a", "spiffe://home.test/b"), ("https://home.test/a",)])
    async def test_a_certificate_that_is_no_svid(self, port: int, home: Authority, names: tuple[str, ...]) -> None:
        leaf, key = home.root.issue(leaf_extensions(*names, dns_names=["agent"]), now=home.now)
        client = Client(port)
        present(client.context, [leaf], key)
        assert not (await client.call()).data


async def test_a_federated_id_that_is_admitted_is_known(port: int, abroad: Authority, peers: list[TlsPeer]) -> None:
    assert (await Client(port, svid=abroad.x509_svid("/admin")).call()).data
    assert peers[0].spiffe_id == abroad.id("/admin")


async def test_an_authority_need_not_be_self_signed(
    port: int, home: Authority, identity: TlsIdentity, peers: list[TlsPeer]
) -> None:
    anchor = Ca.create("anchor", issuer=home.root, now=home.now)
    server = home.x509_svid("/spire/server")
    assert server.key
    identity.set(server.chain, server.key, {home.trust_domain: [anchor.der]})
    svid = home.x509_svid("/agent", issuer=anchor)
    assert svid.key
    assert (await Client(port, svid=X509Svid.parse(svid.chain[:1], svid.key)).call()).data
    assert peers[0].spiffe_id == home.id("/agent")


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_servers_svid_changes_for_new_connections_at_once(
    port: int, home: Authority, identity: TlsIdentity, version: ssl.TLSVersion
) -> None:
    client = Client(port, version)
    first = (await client.call()).certificate
    renewed = home.x509_svid("/spire/server")
    trust(identity, renewed, home)
    second = (await client.call()).certificate
    assert first != second == renewed.chain[0]


async def test_open_connections_survive_a_change(port: int, home: Authority, identity: TlsIdentity) -> None:
    client = Client(port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client.context)
    await reader.readexactly(1)
    trust(identity, home.x509_svid("/spire/server"), home)
    writer.write(raw_call(UNARY, b"hello"))
    await reader.readuntil(b"hello")
    writer.close()


async def test_an_added_root_is_taken_at_once(
    port: int, home: Authority, identity: TlsIdentity, clock: FakeClock, peers: list[TlsPeer]
) -> None:
    successor = Authority(home.trust_domain.name, now=clock.now())
    client = Client(port, svid=successor.x509_svid("/agent"))
    assert not (await client.call()).data
    server = home.x509_svid("/spire/server")
    assert server.key
    identity.set(server.chain, server.key, {home.trust_domain: [home.root.der, successor.root.der]})
    assert (await client.call()).data
    assert peers[0].spiffe_id == home.id("/agent")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_does_not_outlive_the_root_it_was_opened_under(
    port: int, home: Authority, abroad: Authority, identity: TlsIdentity, peers: list[TlsPeer], version: ssl.TLSVersion
) -> None:
    client = Client(port, version, svid=abroad.x509_svid("/admin"))
    opened = await client.call()
    assert peers.pop().spiffe_id == abroad.id("/admin")
    trust(identity, home.x509_svid("/spire/server"), home)
    assert not (await client.call(opened.session)).data
    assert peers == []


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_does_not_outlive_its_svid_nor_turn_anonymous(
    port: int, home: Authority, clock: FakeClock, peers: list[TlsPeer], version: ssl.TLSVersion
) -> None:
    client = Client(port, version, svid=home.x509_svid("/agent"))
    opened = await client.call()
    again = await client.call(opened.session)
    assert [peer.spiffe_id for peer in peers] == 2 * [home.id("/agent")]
    clock.advance(2 * 3600)
    assert not (await client.call(again.session)).data


@pytest.mark.parametrize("version", VERSIONS)
async def test_no_session_tickets_are_given(port: int, version: ssl.TLSVersion) -> None:
    session = (await Client(port, version).call()).session
    assert session is None or not session.has_ticket


async def test_before_it_has_an_svid_the_server_refuses_and_lives(
    front: Front, home: Authority, clock: FakeClock
) -> None:
    identity = TlsIdentity(home.trust_domain, clock)
    with pytest.raises(FailedPreconditionError):
        _ = identity.context
    port = await front.listen_tls("127.0.0.1", 0, identity)
    assert not (await Client(port).call()).data
    trust(identity, home.x509_svid("/spire/server"), home)
    assert (await Client(port).call()).data


async def test_without_roots_only_anonymous_clients_are_served(
    port: int, home: Authority, identity: TlsIdentity
) -> None:
    trust(identity, home.x509_svid("/spire/server"))
    assert not (await Client(port, svid=home.x509_svid("/agent")).call()).data
    assert (await Client(port).call()).data


async def test_an_identity_of_another_trust_domain_or_with_another_key_is_refused(
    identity: TlsIdentity, home: Authority, abroad: Authority
) -> None:
    before = identity.context
    with pytest.raises(InvalidArgumentError, match="trust domain"):
        trust(identity, abroad.x509_svid("/spire/server"))
    with pytest.raises(InvalidArgumentError, match="cannot be used"):
        identity.set(home.x509_svid("/a").chain, abroad.jwt_key, {})
    assert identity.context is before


@pytest.mark.parametrize("rubbish", [b"GET / HTTP/1.1\r\n\r\n", os.urandom(65536), b"\x16\x03\x01\x00\x05hello", b""])
async def test_rubbish_costs_its_sender_the_connection_and_nobody_else(port: int, rubbish: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(rubbish)
    writer.write_eof()
    try:
        while await reader.read(4096):
            pass
    except ConnectionError:
        pass
    writer.close()
    assert (await Client(port).call()).data


async def test_who_does_not_complete_a_handshake_is_hung_up_on(echo: Echo, identity: TlsIdentity) -> None:
    front = Front(echo.server, limits=Limits(handshake=0.05))
    await front.start()
    port = await front.listen_tls("127.0.0.1", 0, identity)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    assert await reader.read() == b""
    writer.close()
    await front.close(0)


async def test_clients_that_stay_without_a_word_do_not_keep_others_out(echo: Echo, identity: TlsIdentity) -> None:
    front = Front(echo.server, room=Room(8))
    await front.start()
    port = await front.listen_tls("127.0.0.1", 0, identity)
    halfway = [await asyncio.open_connection("127.0.0.1", port) for _ in range(12)]
    silent = [await asyncio.open_connection("127.0.0.1", port, ssl=Client(port).context) for _ in range(12)]
    assert (await Client(port).call()).data
    for reader, _ in [*halfway, *silent[:8]]:
        with contextlib.suppress(ConnectionError):
            await reader.read()
    await until(lambda: front.connections <= 4)
    for _, writer in [*halfway, *silent]:
        writer.close()
    await front.close(0)


async def test_an_anonymous_client_may_stay_only_so_long_and_one_with_an_svid_longer(
    echo: Echo, identity: TlsIdentity, home: Authority
) -> None:
    front = Front(echo.server, limits=Limits(guest=0.2))
    await front.start()
    port = await front.listen_tls("127.0.0.1", 0, identity)
    known = Client(port, svid=home.x509_svid("/agent")).context
    known_reader, known_writer = await asyncio.open_connection("127.0.0.1", port, ssl=known)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=Client(port).context)
    without_message = raw_call(UNARY, b"")[: -9 - 5]
    writer.write(without_message)
    with contextlib.suppress(ConnectionError):
        await reader.read()
    await until(lambda: front.connections == 1)
    known_writer.write(raw_call(UNARY, b"still here"))
    data = b""
    while b"still here" not in data:
        data += await known_reader.read(4096)
    for one in (writer, known_writer):
        one.close()
    await front.close(0)


async def test_closing_drops_those_that_have_not_completed_a_handshake(front: Front, port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await until(lambda: any(listener._tasks for listener in front._entrance._listeners))
    await front.close(0)
    assert await reader.read() == b""
    writer.close()


async def test_a_reader_that_stops_holds_back_the_server_and_costs_no_memory(
    echo: Echo, front: Front, port: int
) -> None:
    chunks = 256
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=Client(port).context, limit=1024)
    writer.write(raw_call(FLOOD, str(chunks).encode()))
    await until(lambda: any(not pump.inner.transport.is_reading() for pump in front._pumps))
    # TLS keeps a buffer of its own below the transport's.
    bound = 2 * (HIGH_WATER + ONE_READ)
    assert front.buffered <= bound
    assert echo.sent < chunks // 2
    while echo.sent < chunks:
        await reader.read(1024 * 1024)
        assert front.buffered <= bound
    writer.close()


async def test_addresses_are_written_with_their_port(echo: Echo, front: Front, identity: TlsIdentity) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6 here")
    addresses: list[str] = []

    def on_call(context: Context) -> None:
        peer = front.peer(context)
        assert isinstance(peer, TlsPeer)
        addresses.append(peer.address)

    echo.on_call = on_call
    port = await front.listen_tls("::1", 0, identity)
    reader, writer = await asyncio.open_connection("::1", port, ssl=Client(port).context)
    own = writer.get_extra_info("sockname")
    writer.write(raw_call(UNARY, b"hello"))
    await reader.readuntil(b"hello")
    writer.close()
    assert addresses == [f"[::1]:{own[1]}"]
