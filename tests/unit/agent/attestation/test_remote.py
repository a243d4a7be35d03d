import asyncio
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from assay.bundle import jwks, pem
from assay.errors import FailedPreconditionError, UnavailableError
from assay.spiffeid import TrustDomain
from assay.testing import InMemoryTrustDomain, WorkloadApiServer
from assay.testing.authority import Authority
from assay_agent.attestation.bootstrap import Attempt, BundleFormat
from assay_agent.attestation.remote import UrlSource, WorkloadApiSource

TD = TrustDomain("example.org")
STARTED = 1_800_000_000.25


async def fetched(
    folder: Path, body: bytes, attempt: Attempt, url: str, *, spiffe: bool = False
) -> tuple[tuple[bytes, ...], str]:
    """What the source makes of a document on the socket s, and what it asked for."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode().split(" ")[1])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    async with await asyncio.start_unix_server(answer, folder / "s"):
        source = UrlSource(url, BundleFormat(TD, spiffe=spiffe), folder / "s", ("server.example", 8081))
        return await source.fetch(attempt), asked[0]


@pytest.mark.parametrize("spiffe", [False, True])
async def test_a_program_on_a_socket_is_told_who_asks_and_why(spiffe: bool, tmp_path: Path) -> None:
    authority = Authority()
    body = jwks.emit(authority.bundle) if spiffe else pem.emit(authority.bundle.x509_authorities)
    attempt = Attempt(3, STARTED, again=True)
    found, asked = await fetched(tmp_path, body, attempt, "http://h/b?zone=a%26b&empty=", spiffe=spiffe)
    assert found == (authority.root.der,)
    assert urlsplit(asked).path == "/b"
    assert parse_qsl(urlsplit(asked).query, keep_blank_values=True) == [
        ("empty", ""),
        ("spiffe-trust-domain", "example.org"),
        ("spire-attest-mode", "rebootstrap"),
        ("spire-attest-start-time", "2027-01-15T08:00:00Z"),
        ("spire-connection-attempts", "3"),
        ("spire-server-address", "server.example"),
        ("spire-server-port", "8081"),
        ("zone", "a&b"),
    ]


async def test_a_first_bootstrap_is_told_from_a_later_one(tmp_path: Path) -> None:
    body = pem.emit(Authority().bundle.x509_authorities)
    _, asked = await fetched(tmp_path, body, Attempt(1, STARTED, again=False), "http://h/b")
    assert "spire-attest-mode=bootstrap&" in asked


async def test_a_document_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="could not parse trust bundle") as refused:
        await fetched(tmp_path, b"<html>", Attempt(1, STARTED, again=False), "http://h/b?key=secret")
    assert "secret" not in str(refused.value)


async def test_another_agent_on_the_machine_is_asked() -> None:
    domain = InMemoryTrustDomain("example.org")
    async with WorkloadApiServer(domain) as api:
        api.serve("/anyone")
        source = WorkloadApiSource(api.address, TD)
        (authority,) = domain.bundle.x509_authorities
        assert await source.fetch(Attempt(1, STARTED, again=False)) == (authority.der,)


async def test_an_agent_of_another_trust_domain_cannot_help() -> None:
    async with WorkloadApiServer(InMemoryTrustDomain("other.org")) as api:
        api.serve("/anyone")
        with pytest.raises(FailedPreconditionError, match="did not provide a trust bundle"):
            await WorkloadApiSource(api.address, TD).fetch(Attempt(1, STARTED, again=False))


async def test_no_agent_there(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="unable to fetch trust bundle from SPIFFE Workload API"):
        await WorkloadApiSource(f"unix://{tmp_path}/none", TD).fetch(Attempt(1, STARTED, again=False))
