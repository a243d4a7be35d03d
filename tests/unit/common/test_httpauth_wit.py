"""WIT-SVIDs with their proofs on requests of httpx."""

import httpx
import pytest

from assay.authorize import any_id
from assay.errors import InvalidArgumentError
from assay.httpauth import WitSvidAuth
from assay.svid import WitSvid
from assay.svid.proof import PROOF_HEADER, TOKEN_HEADER
from assay.svid.refusal import RefusedError
from assay.testing import FakeClock, InMemoryTrustDomain
from assay.verify import WitVerifier

URL = "https://orders.test/api/list"


class Fixed:
    def __init__(self, svid: WitSvid) -> None:
        self._svid = svid

    def svid(self) -> WitSvid:
        return self._svid


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def domain(clock: FakeClock) -> InMemoryTrustDomain:
    return InMemoryTrustDomain("example.org", clock=clock)


def echo(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json=dict(request.headers))


def sent(auth: WitSvidAuth, url: str = URL, **headers: str) -> httpx.Headers:
    with httpx.Client(auth=auth, transport=httpx.MockTransport(echo)) as client:
        return httpx.Headers(client.get(url, headers=headers).json())


@pytest.mark.spec("WIT-5-a", "WIT-5-b", "WIT-5-c", "WIT-5-d")
def test_the_token_goes_with_a_proof_for_the_url_and_never_as_a_bearer(
    domain: InMemoryTrustDomain, clock: FakeClock
) -> None:
    auth = WitSvidAuth(Fixed(domain.wit_svid("/web")), clock=clock)
    headers = sent(auth, f"{URL}?page=2#top")
    assert "authorization" not in headers
    verifier = WitVerifier(domain, URL, any_id(), clock)
    assert verifier.verify(headers[TOKEN_HEADER], headers[PROOF_HEADER]).spiffe_id == domain.id("/web")
    with pytest.raises(RefusedError):
        WitVerifier(domain, "https://other.test/", any_id(), clock).verify(headers[TOKEN_HEADER], headers[PROOF_HEADER])
    assert sent(auth)[PROOF_HEADER] != headers[PROOF_HEADER]


def test_it_can_be_for_a_name_and_is_bound_to_an_access_token(domain: InMemoryTrustDomain, clock: FakeClock) -> None:
    headers = sent(WitSvidAuth(Fixed(domain.wit_svid("/web")), "orders", clock=clock), authorization="Bearer abc")
    assert headers["authorization"] == "Bearer abc"
    verifier = WitVerifier(domain, "orders", any_id(), clock)
    assert verifier.verify(headers[TOKEN_HEADER], headers[PROOF_HEADER], access_token="abc").spiffe_id.path == "/web"
    with pytest.raises(RefusedError):
        verifier.verify(headers[TOKEN_HEADER], headers[PROOF_HEADER])


async def test_a_client_with_a_loop_takes_it_as_well(domain: InMemoryTrustDomain, clock: FakeClock) -> None:
    auth = WitSvidAuth(Fixed(domain.wit_svid("/web")), clock=clock)
    async with httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(echo)) as client:
        headers = httpx.Headers((await client.get(URL)).json())
    WitVerifier(domain, URL, any_id(), clock).verify(headers[TOKEN_HEADER], headers[PROOF_HEADER])


@pytest.mark.spec("WIT-7.3-a")
def test_plain_http_is_refused_unless_it_is_said(domain: InMemoryTrustDomain, clock: FakeClock) -> None:
    source, plain = Fixed(domain.wit_svid("/web")), "http://orders.test/"
    with pytest.raises(InvalidArgumentError, match=r"a WIT-SVID is not sent to http://orders\.test"):
        sent(WitSvidAuth(source, clock=clock), plain)
    assert TOKEN_HEADER in sent(WitSvidAuth(source, insecure=True, clock=clock), plain)
