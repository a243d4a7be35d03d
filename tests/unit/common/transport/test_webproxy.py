"""The way to a web server through an HTTP proxy, and which hosts have none before them, as Go's clients see it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from assay.errors import UnavailableError
from assay.testing.webproxy import CA_FILE, WebProxy, certificate, website
from assay.transport.web import fetch
from assay.transport.webproxy import Proxy, proxy_for

PATIENCE = 30.0
# No resolver knows it: who gets there went through the proxy.
URL = "https://pki.test/bundle?key=secret"
PROXY = "http://proxy.test:3128"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def proxy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WebProxy]:
    """On plain TCP, to a site whose certificate is for pki.test."""
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / CA_FILE))
    async with website(certificate(folder, "pki.test"), lambda: b"hi") as port, WebProxy(port).serving() as made:
        yield made


async def fetched(url: str = URL) -> bytes:
    return await fetch(url, within=PATIENCE)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("form", ["http://127.0.0.1:{}", "http://127.0.0.1:{}/", "127.0.0.1:{}"])
async def test_the_way_leads_through_the_proxy_and_it_sees_the_name_alone(
    proxy: WebProxy, monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    monkeypatch.setenv(name, form.format(proxy.port))
    assert await fetched() == b"hi"
    (asked,) = proxy.asked
    assert asked.startswith("CONNECT pki.test:443 HTTP/1.1\r\nHost: pki.test:443\r\n")
    assert "authorization" not in asked.lower()
    assert "bundle" not in asked


async def test_user_and_password_are_for_the_proxy_alone(proxy: WebProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:p%40ss@127.0.0.1:{proxy.port}")
    assert await fetched("https://pki.test:8443/") == b"hi"
    assert proxy.asked[0].startswith("CONNECT pki.test:8443 ")
    assert "\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n" in proxy.asked[0]


async def test_the_sites_certificate_counts_behind_a_proxy_too(
    proxy: WebProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    with pytest.raises(UnavailableError, match="certificate"):
        await fetched("https://other.test/")


async def test_a_proxy_with_a_certificate_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS to the proxy, and TLS to the site within it. The certificate is for both names."""
    monkeypatch.setenv("SSL_CERT_FILE", str(folder / CA_FILE))
    tls = certificate(folder, "pki.test", "localhost")
    async with website(tls, lambda: b"hi" * 100_000) as port, WebProxy(port).serving(tls) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"https://localhost:{proxy.port}")
        assert await fetched() == b"hi" * 100_000
        monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{proxy.port}")
        with pytest.raises(UnavailableError, match=r"proxy https://127.0.0.1:\d+ cannot be reached: .*certificate"):
            await fetched()
    assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "answered 407 Proxy Authentication Required"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "answered 204 No Content"),
        (b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0", "speaks before it is spoken to"),
        (b"", "hung up"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "illegal status line"),
    ],
)
async def test_a_proxy_that_does_not_let_us_through(
    proxy: WebProxy, monkeypatch: pytest.MonkeyPatch, answer: bytes, why: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{proxy.port}")
    proxy.answer = answer
    with pytest.raises(UnavailableError, match=why) as refused:
        await fetched()
    assert "secret" not in str(refused.value)


async def test_a_proxy_that_is_not_there_is_not_gone_round(proxy: WebProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@127.0.0.1:1")
    with pytest.raises(UnavailableError, match=r"proxy http://127.0.0.1:1 cannot be reached") as refused:
        await fetched()
    assert "secret" not in str(refused.value)
    assert proxy.asked == []


async def test_a_program_on_a_socket_is_behind_no_proxy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(UnavailableError, match="No such file"):
        await fetch("http://pki.test/", folder / "none", within=PATIENCE)


@pytest.mark.parametrize(
    ("exceptions", "direct", "behind"),
    [
        ("", ["localhost", "127.0.0.1", "127.1.2.3", "::1"], ["pki.test", "10.1.2.3", "x.localhost"]),
        ("pki.test", ["pki.test", "a.pki.test", "a.b.pki.test", "PKI.test"], ["xpki.test", "test", "pki.test.x"]),
        (".pki.test", ["a.pki.test"], ["pki.test"]),
        ("*.pki.test", ["a.pki.test"], ["pki.test", "xpki.test"]),
        (" a , PKI.test ,", ["a", "pki.test"], ["b"]),
        ("pki.test:443", ["pki.test"], []),
        ("pki.test:8443,.pki.test:80", [], ["pki.test", "a.pki.test"]),
        ("10.0.0.0/8,fd00::/8", ["10.1.2.3", "fd00::1"], ["11.1.2.3", "fe80::1", "pki.test"]),
        ("10.1.2.3,[fd00::1]:443", ["10.1.2.3", "fd00::1"], ["10.1.2.4", "fd00::2"]),
        ("10.1.2.3:80,fd00::1", ["fd00::1"], ["10.1.2.3"]),
        ("::/0", [], ["pki.test", "10.1.2.3"]),
        ("*", ["pki.test", "10.1.2.3"], []),
        ("no/network,:443,.", [], ["pki.test", "10.1.2.3"]),
    ],
)
def test_no_proxy_names_hosts_that_are_asked_directly(exceptions: str, direct: list[str], behind: list[str]) -> None:
    environment = {"HTTPS_PROXY": PROXY, "NO_PROXY": exceptions}
    assert [host for host in direct if proxy_for(host, 443, environment)] == []
    assert [host for host in behind if not proxy_for(host, 443, environment)] == []


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"HTTP_PROXY": PROXY, "ALL_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": "", "https_proxy": "p"}, Proxy("http", "p", 80)),
        ({"HTTPS_PROXY": "https://p"}, Proxy("https", "p", 443)),
        ({"HTTPS_PROXY": PROXY, "https_proxy": "other", "no_proxy": "pki.test"}, None),
        ({"HTTPS_PROXY": "http://[fd00::1]:3128"}, Proxy("http", "fd00::1", 3128)),
    ],
)
def test_which_variables_count(environment: dict[str, str], expected: Proxy | None) -> None:
    assert proxy_for("pki.test", 443, environment) == expected


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("socks5://user:secret@p", "socks5 proxy, which is not supported"),
        ("http://user:secret@p:port", "is not a URL"),
        ("http://user:secret@", "names no host"),
    ],
)
async def test_a_proxy_that_cannot_be_used_is_named_and_its_password_is_not(
    value: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(UnavailableError, match=why) as refused:
        await fetched()
    assert "secret" not in str(refused.value)
    assert proxy_for("localhost", 443, {"HTTPS_PROXY": value}) is None


def test_the_words_for_a_proxy_hold_no_secret() -> None:
    proxy = proxy_for("pki.test", 443, {"HTTPS_PROXY": "http://user:secret@[fd00::1]"})
    assert str(proxy) == "http://[fd00::1]:80"
    assert "secret" not in repr(proxy)
    assert proxy
    assert proxy.authorization not in repr(proxy)
