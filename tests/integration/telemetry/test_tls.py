"""Prometheus comes by TLS: to an agent and a server that show their own SVIDs, and after certificates have changed."""

import http.client
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from assay.clock import SystemClock
from assay.crypto.keys import to_pem
from assay.testing.authority import Authority
from assay.testing.deployment import Deployment, free_port
from assay.transport.tls import presented_chain


class Scraped(Deployment):
    """Both daemons with a listener whose `tls { }` is as given."""

    def __init__(self, folder: Path, tls: str) -> None:
        super().__init__(folder)
        self.ports = {name: free_port() for name in ("server", "agent")}
        for name, port in self.ports.items():
            with (folder / f"{name}.conf").open("a") as conf:
                conf.write(f"telemetry {{ Prometheus {{ port = {port} tls {{ {tls} }} }} }}\n")

    def scrape(self, name: str, trusted: bytes, client: Path | None = None) -> tuple[str, bytes]:
        """What one daemon tells, and the certificate (DER) that it showed."""
        context = ssl.create_default_context(cadata=trusted.decode())
        context.check_hostname = False
        if client is not None:
            context.load_cert_chain(client / "svid.pem", client / "key.pem")
        connection = http.client.HTTPSConnection("localhost", self.ports[name], timeout=30, context=context)
        try:
            connection.request("GET", "/metrics")
            assert isinstance(connection.sock, ssl.SSLSocket)
            shown = presented_chain(connection.sock)[0]
            return connection.getresponse().read().decode(), shown
        finally:
            connection.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="assay-") as folder:
        yield Path(folder)


def test_daemons_show_their_svids_and_let_in_whom_they_are_told(folder: Path) -> None:
    monitor = "spiffe://example.test/prometheus"
    scraped = Scraped(folder, f'use_spire_svid = true authorized_spiffe_ids = ["{monitor}"]')
    try:
        scraped.start()
        roots = scraped.operator.bundle()
        clients: dict[str, Path] = {}
        for name in ("prometheus", "other"):
            clients[name] = folder / name
            clients[name].mkdir()
            scraped.run("x509", "mint", "--spiffe-id", f"spiffe://example.test/{name}", "--write", str(clients[name]),
                        "--socket-path", str(scraped.admin))  # fmt: skip
        ids = {"server": "spiffe://example.test/spire/server", "agent": scraped.agent_id()}
        for name, own in ids.items():
            text, shown = scraped.scrape(name, roots, clients["prometheus"])
            assert f"spire_{name}_started" in text
            assert own.encode() in shown
            for other in (clients["other"], None):
                with pytest.raises((OSError, http.client.HTTPException)):
                    scraped.scrape(name, roots, other)
        scraped.until("server", lambda: "Prometheus client refused" in scraped.log("server"))
    finally:
        scraped.close()


def test_new_certificates_are_shown_after_sighup(folder: Path) -> None:
    authority = Authority(now=SystemClock().now())
    trusted = ssl.DER_cert_to_PEM_cert(authority.root.der).encode()

    def renew() -> bytes:
        svid = authority.x509_svid("/web")
        assert svid.key is not None
        (folder / "web.pem").write_text(ssl.DER_cert_to_PEM_cert(svid.chain[0]))
        (folder / "web.key").write_bytes(to_pem(svid.key))
        return svid.chain[0]

    first = renew()
    scraped = Scraped(folder, f'cert_file = "{folder}/web.pem" key_file = "{folder}/web.key"')
    try:
        scraped.start()
        second = renew()
        for name in ("server", "agent"):
            assert scraped.scrape(name, trusted)[1] == first
            scraped.processes[name].send_signal(signal.SIGHUP)
            scraped.until(name, lambda: "Configuration reloaded" in scraped.log(name))  # noqa: B023 - awaited here
            assert scraped.scrape(name, trusted)[1] == second
        (folder / "web.key").write_text("nothing")
        scraped.processes["server"].send_signal(signal.SIGHUP)
        scraped.until("server", lambda: "everything stays as it was" in scraped.log("server"))
        assert "cert_file and key_file cannot be used" in scraped.log("server")
        assert scraped.scrape("server", trusted)[1] == second
    finally:
        scraped.close()
