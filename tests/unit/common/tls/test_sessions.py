"""No TLS session is resumed: each connection proves identities anew, by the bundles of that moment."""

import gc
import socket
import ssl
import threading

import pytest

from assay.authorize import any_id
from assay.svid.refusal import Reason
from assay.testing import InMemorySource, InMemoryTrustDomain
from assay.testing.handshake import Handshakes, careless
from assay.tls import SpiffeContext, client_context, peer_chain, peer_id, server_context
from assay.tls.connection import CheckedSocket, CheckingContext

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def limited(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = version
    return context


def session_of(served: ssl.SSLSocket, called: ssl.SSLSocket) -> ssl.SSLSession | None:
    """What the client could resume by; in TLS 1.3 it comes with the first bytes."""
    served.sendall(b"x")
    assert called.recv(1) == b"x"
    return called.session


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_resumes_no_session(
    shake: Handshakes, server: SpiffeContext, api: InMemorySource, version: ssl.TLSVersion
) -> None:
    client = limited(careless(api.svid()), version)
    served, called = shake(server, client)
    session = session_of(served.open, called.open)
    assert session is not None
    assert not session.has_ticket
    for _ in range(3):
        served, called = shake(server, client, session=session)
        assert not served.open.session_reused
        assert not called.open.session_reused
        assert peer_id(served.open) == api.svid().spiffe_id


def test_a_session_that_was_resumed_all_the_same_is_refused(
    shake: Handshakes, server: SpiffeContext, api: InMemorySource
) -> None:
    # Connections that were begun by one context before the first of them was done.
    inner = server._newest()
    client = limited(careless(api.svid()), ssl.TLSVersion.TLSv1_2)
    _, called = shake(inner, client)
    served, _ = shake(inner, client, session=called.open.session)
    assert served.connection is None
    assert "resumed" in str(served.error)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_removed_authority_is_refused_also_with_a_session(
    shake: Handshakes, server: SpiffeContext, domain: InMemoryTrustDomain, version: ssl.TLSVersion
) -> None:
    client = limited(careless(domain.x509_svid("/api")), version)
    served, called = shake(server, client)
    session = session_of(served.open, called.open)
    domain.rotate_x509_authority(forget=True)
    served, _ = shake(server, client, session=session)
    assert served.refusal.reason is Reason.UNTRUSTED


@pytest.mark.parametrize("version", VERSIONS)
def test_a_client_resumes_no_session(
    shake: Handshakes, client: SpiffeContext, web: InMemorySource, version: ssl.TLSVersion
) -> None:
    server = limited(careless(web.svid(), server=True), version)
    served, called = shake(server, client)
    session = session_of(served.open, called.open)
    assert session is not None
    served, called = shake(server, client, session=session)
    assert not called.open.session_reused

    near, far = socket.socketpair()
    with near, far:
        thread = threading.Thread(target=lambda: server.wrap_socket(near, server_side=True).close())
        thread.start()
        wrapped = client.wrap_socket(far, server_hostname="localhost", do_handshake_on_connect=False)
        wrapped.session = session
        with pytest.raises(ssl.SSLError, match="resumed"):
            wrapped.do_handshake()
        thread.join()


def test_the_next_connection_is_made_by_what_is_there_then_and_open_ones_live_on(
    shake: Handshakes, server: SpiffeContext, client: SpiffeContext, web: InMemorySource, domain: InMemoryTrustDomain
) -> None:
    old, first = shake(server, client)
    presented = peer_chain(first.open)[0]
    web.rotate()
    _, second = shake(server, client)
    domain.rotate_x509_authority(forget=True)
    served, third = shake(server, client)
    assert peer_chain(second.open)[0] not in {presented, peer_chain(third.open)[0]}
    assert peer_chain(third.open)[0] == web.svid().chain[0] != presented
    assert peer_id(served.open) == domain.id("/api")
    for ends in ((old, first), (served, third)):
        ends[0].open.sendall(b"still here")
        assert ends[1].open.recv(10) == b"still here"
    assert peer_chain(first.open)[0] == presented


def test_a_listening_socket_presents_the_newest_svid(
    server: SpiffeContext, client: SpiffeContext, web: InMemorySource, domain: InMemoryTrustDomain
) -> None:
    accepted: list[ssl.SSLSocket] = []
    with socket.create_server(("127.0.0.1", 0)) as plain, server.wrap_socket(plain, server_side=True) as listening:
        for _ in range(2):
            domain.rotate_x509_authority(forget=True)
            thread = threading.Thread(target=lambda: accepted.append(listening.accept()[0]))
            thread.start()
            with client.wrap_socket(socket.create_connection(listening.getsockname())) as called:
                thread.join()
                assert peer_chain(called)[0] == web.svid().chain[0]
                with accepted.pop() as served:
                    assert peer_id(served) == domain.id("/api")


def test_one_context_serves_many_connections_and_none_outlives_what_it_was_made_of(
    shake: Handshakes, server: SpiffeContext, client: SpiffeContext, web: InMemorySource, api: InMemorySource
) -> None:
    for _ in range(20):
        shake(server, client)
    assert server._newest() is server._newest()
    for _ in range(20):
        web.rotate()
        api.rotate()
        ends = shake(server, client)
        for end in ends:
            end.open.close()
            end.connection = None
    gc.collect()
    assert sum(isinstance(one, CheckingContext) for one in gc.get_objects()) <= 2 + sum(
        isinstance(one, CheckedSocket) for one in gc.get_objects()
    )


def test_threads_share_a_context_while_identities_change(
    shake: Handshakes, server: SpiffeContext, client: SpiffeContext, domain: InMemoryTrustDomain, web: InMemorySource
) -> None:
    found: list[object] = []

    def call() -> None:
        for _ in range(5):
            served, called = shake(server, client)
            found.append((served.error, called.error, peer_id(served.open), peer_id(called.open)))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        web.rotate()
    for thread in threads:
        thread.join()
    assert found == [(None, None, domain.id("/api"), domain.id("/web"))] * 40


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_from_tls_1_2_on(
    shake: Handshakes, server: SpiffeContext, api: InMemorySource, version: ssl.TLSVersion
) -> None:
    served, _ = shake(server, limited(careless(api.svid()), version))
    assert served.open.version() == version.name.replace("_", ".")


def test_nothing_below_tls_1_2_and_nothing_below_what_is_set(shake: Handshakes, domain: InMemoryTrustDomain) -> None:
    for context in (
        server_context(domain.source("/web"), any_id()),
        client_context(domain.source("/api"), any_id()),
    ):
        with pytest.warns(DeprecationWarning, match="TLSv1"):
            context.minimum_version = ssl.TLSVersion.TLSv1
        assert context._newest().minimum_version is ssl.TLSVersion.TLSv1_2
    server = server_context(domain.source("/web"), any_id())
    server.minimum_version = ssl.TLSVersion.TLSv1_3
    served, _ = shake(server, limited(careless(domain.x509_svid("/api")), ssl.TLSVersion.TLSv1_2))
    assert served.connection is None


def test_protocols_are_negotiated(shake: Handshakes, server: SpiffeContext, client: SpiffeContext) -> None:
    server.set_alpn_protocols(["h2", "http/1.1"])
    client.set_alpn_protocols(["http/1.1"])
    served, called = shake(server, client)
    assert served.open.selected_alpn_protocol() == called.open.selected_alpn_protocol() == "http/1.1"
