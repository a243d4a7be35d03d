"""Fronts before real gRPC servers, on both event loops."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from assay.clock import SystemClock
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay.testing.echo import Echo
from assay.transport.front import Front
from assay.transport.tls import TlsIdentity


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: socket paths are limited."""
    with tempfile.TemporaryDirectory(prefix="assay-") as name:
        yield Path(name)


@pytest.fixture
def socket_path(folder: Path) -> Path:
    return folder / "front.sock"


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def front(echo: Echo) -> AsyncIterator[Front]:
    """A started front that listens nowhere yet."""
    front = Front(echo.server)
    await front.start()
    yield front
    with contextlib.suppress(FileNotFoundError):
        await front.close(0)


@pytest.fixture
async def listening(front: Front, socket_path: Path) -> Path:
    """The path of a Unix socket that the front listens on."""
    await front.listen_unix(socket_path, mode=0o777)
    return socket_path


@pytest.fixture
def clock() -> FakeClock:
    """Stands at the real time: OpenSSL asks no clock of ours."""
    return FakeClock(SystemClock().now())


@pytest.fixture
def home(clock: FakeClock) -> Authority:
    """The server's own trust domain."""
    return Authority("home.test", now=clock.now())


@pytest.fixture
def abroad(clock: FakeClock) -> Authority:
    """A trust domain that the server federates with."""
    return Authority("abroad.test", now=clock.now())


@pytest.fixture
def identity(clock: FakeClock, home: Authority, abroad: Authority) -> TlsIdentity:
    """The server's; it takes one ID from abroad."""
    identity = TlsIdentity(home.trust_domain, clock, admitted=[abroad.id("/admin")])
    svid = home.x509_svid("/spire/server")
    assert svid.key
    identity.set(svid.chain, svid.key, {one.trust_domain: [one.root.der] for one in (home, abroad)})
    return identity


@pytest.fixture
async def port(front: Front, identity: TlsIdentity) -> int:
    """Where the front takes TLS on the loopback address."""
    return await front.listen_tls("127.0.0.1", 0, identity)
