"""Prometheus over TLS, over real sockets: what it is shown, and who is let in."""

import contextlib
import http.client
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from assay.clock import SystemClock
from assay.crypto.keys import to_pem
from assay.errors import FailedPreconditionError
from assay.keymanager.base import SigningKey
from assay.spiffeid import TrustDomain
from assay.svid import X509Svid
from assay.telemetry.exporter import Exporter
from assay.telemetry.settings import PrometheusTls
from assay.telemetry.tls import ScrapeTls
from assay.testing.authority import Authority

# OpenSSL, which checks the client's end, knows no other.
NOW = SystemClock().now()


@pytest.fixture(scope="module")
def home() -> Authority:
    return Authority(now=NOW)


@pytest.fixture(scope="module")
def foreign() -> Authority:
    return Authority("other.example", now=NOW)


@dataclass
class Daemon:
    """Has an SVID, and bundles, or neither."""

    svid: X509Svid | None
    authorities: Sequence[Authority]

    def credentials(self) -> tuple[Sequence[bytes], SigningKey] | None:
        if self.svid is None or self.svid.key is None:
            return None
        return self.svid.chain, self.svid.key

    def roots(self, trust_domain: TrustDomain) -> Sequence[bytes]:
        return [one.root.der for one in self.authorities if one.trust_domain == trust_domain]


Serve = Callable[..., "Scraped"]


class Scraped:
    """A listener, and clients of it."""

    def __init__(self, settings: PrometheusTls, daemon: Daemon | None) -> None:
        self.tls = ScrapeTls(settings, SystemClock())
        self.tls.own = daemon
        self.exporter = Exporter(lambda: b"metric 1\n", "127.0.0.1", 0, self.tls.wrap)
        self.exporter.start()

    def ask(self, trusted: Authority, as_: X509Svid | None = None, folder: Path | None = None) -> bytes:
        """What a client is answered that trusts that authority, and shows that certificate."""
        context = ssl.create_default_context(cadata=trusted.root.der)
        context.check_hostname = False
        if as_ is not None and folder is not None:
            context.load_cert_chain(write_chain(folder / "client.pem", as_))
        connection = http.client.HTTPSConnection("127.0.0.1", self.exporter.port, timeout=10, context=context)
        try:
            connection.request("GET", "/metrics")
            return connection.getresponse().read()
        finally:
            connection.close()


def write_chain(path: Path, svid: X509Svid) -> Path:
    assert svid.key is not None
    path.write_bytes(b"".join(ssl.DER_cert_to_PEM_cert(one).encode() for one in svid.chain) + to_pem(svid.key))
    return path


@pytest.fixture
def serve() -> Iterator[Serve]:
    open_: list[Scraped] = []

    def make(settings: PrometheusTls, daemon: Daemon | None = None) -> Scraped:
        open_.append(Scraped(settings, daemon))
        return open_[-1]

    yield make
    for one in open_:
        one.exporter.close()


@pytest.fixture
def files(tmp_path: Path, home: Authority) -> PrometheusTls:
    path = write_chain(tmp_path / "web.pem", home.x509_svid("/web", dns_names=["localhost"]))
    return PrometheusTls(cert_file=path, key_file=path)


def refused(scraped: Scraped, trusted: Authority, as_: X509Svid | None, folder: Path) -> None:
    with pytest.raises((OSError, http.client.HTTPException)):
        scraped.ask(trusted, as_, folder)


def test_a_certificate_of_files_is_shown(serve: Serve, files: PrometheusTls, home: Authority) -> None:
    assert serve(files).ask(home) == b"metric 1\n"


def test_nothing_is_told_in_the_clear(serve: Serve, files: PrometheusTls) -> None:
    with socket.create_connection(("127.0.0.1", serve(files).exporter.port)) as plain:
        plain.settimeout(10)
        plain.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            heard = plain.recv(1000)
        assert b"metric" not in heard


def test_clients_have_to_be_signed_by_the_authorities_of_a_file(
    serve: Serve, files: PrometheusTls, home: Authority, foreign: Authority, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text(ssl.DER_cert_to_PEM_cert(foreign.root.der))
    scraped = serve(replace(files, client_ca_file=tmp_path / "ca.pem"))
    assert scraped.ask(home, foreign.x509_svid(), tmp_path) == b"metric 1\n"
    refused(scraped, home, home.x509_svid(), tmp_path)
    refused(scraped, home, None, tmp_path)


@pytest.mark.parametrize("web", [True, False])
def test_authorized_ids_are_let_in_by_the_bundle_of_their_own_trust_domain(
    web: bool, serve: Serve, files: PrometheusTls, home: Authority, foreign: Authority, tmp_path: Path
) -> None:
    settings = files if web else PrometheusTls(use_svid=True)
    settings = replace(settings, authorized=(home.id("/prometheus"), foreign.id("/prometheus")))
    scraped = serve(settings, Daemon(home.x509_svid("/spire/server"), [home, foreign]))
    for authority in (home, foreign):
        assert scraped.ask(home, authority.x509_svid("/prometheus"), tmp_path) == b"metric 1\n"
    refused(scraped, home, home.x509_svid("/other"), tmp_path)
    refused(scraped, home, None, tmp_path)
    # One that is known vouches for an ID of another's trust domain.
    forged = Authority("other.example", now=NOW)
    forged.root = home.root
    refused(scraped, home, forged.x509_svid("/prometheus"), tmp_path)
    expired = home.x509_svid("/prometheus", now=NOW.replace(year=NOW.year - 1))
    refused(scraped, home, expired, tmp_path)


def test_the_daemons_own_svid_is_the_newest(serve: Serve, home: Authority, foreign: Authority) -> None:
    daemon = Daemon(None, [])
    scraped = serve(PrometheusTls(use_svid=True), daemon)
    with pytest.raises(OSError), capture_logs():
        scraped.ask(home)
    daemon.svid = home.x509_svid("/spire/agent/a")
    assert scraped.ask(home) == b"metric 1\n"
    daemon.svid = foreign.x509_svid("/spire/agent/a")
    assert scraped.ask(foreign) == b"metric 1\n"


def test_files_are_read_anew_when_it_is_asked_for(
    serve: Serve, files: PrometheusTls, home: Authority, foreign: Authority
) -> None:
    scraped = serve(files)
    assert files.cert_file is not None
    write_chain(files.cert_file, foreign.x509_svid("/web"))
    assert scraped.ask(home) == b"metric 1\n"
    take = scraped.tls.reread()
    assert scraped.ask(home) == b"metric 1\n"
    take()
    assert scraped.ask(foreign) == b"metric 1\n"
    files.cert_file.write_text("nothing")
    with pytest.raises(FailedPreconditionError, match="cert_file and key_file cannot be used"):
        scraped.tls.reread()
    assert scraped.ask(foreign) == b"metric 1\n"


def test_a_client_that_says_nothing_costs_the_others_nothing(
    serve: Serve, files: PrometheusTls, home: Authority
) -> None:
    scraped = serve(files)
    with socket.create_connection(("127.0.0.1", scraped.exporter.port)):
        assert scraped.ask(home) == b"metric 1\n"


def test_files_that_are_no_use_keep_the_daemon_from_starting(
    files: PrometheusTls, home: Authority, tmp_path: Path
) -> None:
    assert files.cert_file is not None
    other = write_chain(tmp_path / "other.pem", home.x509_svid())
    for bad, reason in (
        (replace(files, cert_file=tmp_path / "none.pem"), "none.pem cannot be read"),
        (replace(files, cert_file=_certificate(tmp_path, home), key_file=_key(tmp_path, other)), "cannot be used"),
        (replace(files, client_ca_file=_empty(tmp_path)), "client_ca_file cannot be used"),
        (replace(files, key_file=_locked(tmp_path)), "cert_file and key_file cannot be used"),
    ):
        with pytest.raises(FailedPreconditionError, match=reason):
            ScrapeTls(bad, SystemClock())


def _certificate(folder: Path, authority: Authority) -> Path:
    path = folder / "certificate.pem"
    path.write_text(ssl.DER_cert_to_PEM_cert(authority.x509_svid().chain[0]))
    return path


def _key(folder: Path, chain: Path) -> Path:
    path = folder / "key.pem"
    path.write_text(chain.read_text().partition("-----END CERTIFICATE-----\n")[2])
    return path


def _empty(folder: Path) -> Path:
    path = folder / "empty.pem"
    path.touch()
    return path


def _locked(folder: Path) -> Path:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - for this alone
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - likewise

    path = folder / "locked.pem"
    lock = serialization.BestAvailableEncryption(b"secret")
    encoding, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(encoding, kind, lock))
    return path
