"""A TLS server by SPIFFE rules, and clients with every kind of wrong X.509-SVID."""

import asyncio
import ssl

import pytest

from assay.clock import SystemClock
from assay.svid import X509Svid
from assay.testing import InMemoryTrustDomain, WrongX509Svid
from assay.testing.echo import UNARY, raw_call
from assay.transport.front import Front
from assay.transport.tls import TlsIdentity, present


@pytest.fixture
def domain() -> InMemoryTrustDomain:
    return InMemoryTrustDomain("home.test")


@pytest.fixture
async def open_port(front: Front, domain: InMemoryTrustDomain) -> int:
    """Where a server of the trust domain listens."""
    identity = TlsIdentity(domain.trust_domain, SystemClock())
    svid = domain.x509_svid("/spire/server")
    assert svid.key
    identity.set(svid.chain, svid.key, {domain.trust_domain: [domain.bundle.x509_authorities[0].der]})
    return await front.listen_tls("127.0.0.1", 0, identity)


async def answered(port: int, svid: X509Svid) -> bool:
    """Whether a client that trusts everyone gets an answer to a call."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    assert svid.key
    present(context, svid.chain, svid.key)
    data = b""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        try:
            writer.write(raw_call(UNARY, b"hello"))
            while b"hello" not in data and (more := await reader.read(4096)):
                data += more
        finally:
            writer.transport.abort()
    except (ssl.SSLError, ConnectionError):
        return False
    return b"hello" in data


@pytest.mark.spec("X509-3.1-a", "X509-3.2-e", "X509-5.1-a", "X509-5.2-a", "X509-5.2-b", "X509-5.2-d")
@pytest.mark.spec("X509-2-b", "X509-2-d", "X509-5.2-c", "X509-5.2-e", "WAPI-4.6-a")
async def test_none_of_them_gets_an_answer(open_port: int, domain: InMemoryTrustDomain) -> None:
    for wrong in WrongX509Svid:
        assert not await answered(open_port, domain.wrong_x509_svid(wrong, "/web")), wrong.name
        assert await answered(open_port, domain.x509_svid("/web")), f"nobody is served after {wrong.name}"
