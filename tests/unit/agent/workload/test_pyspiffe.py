"""py-spiffe, which knows nothing of us, as the client. It blocks, so its calls run in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import spiffe
from spiffe.workloadapi.errors import FetchJwtSvidError, FetchX509SvidError, ValidateJwtSvidError
from spiffe.workloadapi.x509_context import X509Context

from assay.testing.authority import Authority
from assay_proto.workloadapi import workloadapi_pb2

if TYPE_CHECKING:
    from tests.unit.agent.conftest import LocalAgent


@pytest.fixture
def foreign(agent: LocalAgent) -> Iterator[spiffe.WorkloadApiClient]:
    client = spiffe.WorkloadApiClient(f"unix://{agent.path}", default_timeout=5)
    yield client
    client.close()


@pytest.mark.spec("WAPI-3-a")
@pytest.mark.spec("WEP-3-a")
@pytest.mark.spec("WAPI-1-a")
async def test_it_lives_in_one_process_with_our_copy_of_the_messages(
    agent: LocalAgent, foreign: spiffe.WorkloadApiClient
) -> None:
    assert workloadapi_pb2.X509SVIDRequest.DESCRIPTOR.full_name == "assay.workloadapi.X509SVIDRequest"
    friend = Authority("friend.test")
    agent.publish(friend.bundle)
    agent.register("a", "/first", federates_with=(friend.trust_domain,))
    agent.register("b", "/second")
    context = await asyncio.to_thread(foreign.fetch_x509_context)
    assert [str(svid.spiffe_id) for svid in context.x509_svids] == [
        "spiffe://example.org/first",
        "spiffe://example.org/second",
    ]
    assert str(context.default_svid.spiffe_id) == "spiffe://example.org/first"
    bundles = await asyncio.to_thread(foreign.fetch_x509_bundles)
    assert {bundle.trust_domain.name for bundle in bundles.bundles} == {"example.org", "friend.test"}


def authorities(context: X509Context) -> int:
    """How many the own bundle has."""
    bundle = context.x509_bundle_set.get_bundle_for_trust_domain(context.default_svid.spiffe_id.trust_domain)
    return len(bundle.x509_authorities) if bundle else 0


async def test_it_follows_rotations(agent: LocalAgent, foreign: spiffe.WorkloadApiClient) -> None:
    agent.register("a", "/web")
    loop, seen = asyncio.get_running_loop(), asyncio.Queue[X509Context]()
    errors: list[Exception] = []

    def take(context: X509Context) -> None:
        loop.call_soon_threadsafe(seen.put_nowait, context)

    handle = await asyncio.to_thread(foreign.stream_x509_contexts, take, errors.append, retry_connect=False)
    for _ in range(5):
        context = await seen.get()
        serial = context.default_svid.leaf.serial_number
        assert str(serial) == agent.cache.svids["a"].serial
        agent.rotate("a")
    agent.change_bundle()
    while authorities(await seen.get()) < 2:
        pass
    await asyncio.to_thread(handle.cancel)
    assert errors == []


@pytest.mark.spec("WAPI-1-a")
async def test_its_tokens_are_ours_and_ours_are_good_to_it(
    agent: LocalAgent, foreign: spiffe.WorkloadApiClient
) -> None:
    agent.register("a", "/first", hint="one")
    agent.register("b", "/second")
    tokens = await asyncio.to_thread(foreign.fetch_jwt_svids, {"x"})
    assert [str(token.spiffe_id) for token in tokens] == ["spiffe://example.org/first", "spiffe://example.org/second"]
    second = spiffe.SpiffeId("spiffe://example.org/second")
    token = await asyncio.to_thread(lambda: foreign.fetch_jwt_svid({"x", "y"}, subject=second))
    bundles = await asyncio.to_thread(foreign.fetch_jwt_bundles)
    bundle = bundles.get_bundle_for_trust_domain(second.trust_domain)
    assert bundle is not None
    checked = spiffe.JwtSvid.parse_and_validate(token.token, bundle, {"x"})
    assert checked.spiffe_id == second
    validated = await asyncio.to_thread(foreign.validate_jwt_svid, token.token, "y")
    assert validated.spiffe_id == second
    with pytest.raises(ValidateJwtSvidError):
        await asyncio.to_thread(foreign.validate_jwt_svid, token.token, "z")


@pytest.mark.spec("WEP-6-e")
async def test_it_is_told_that_there_is_no_identity(foreign: spiffe.WorkloadApiClient) -> None:
    with pytest.raises(FetchX509SvidError, match="no identity issued"):
        await asyncio.to_thread(foreign.fetch_x509_context)
    with pytest.raises(FetchJwtSvidError, match="no identity issued"):
        await asyncio.to_thread(foreign.fetch_jwt_svids, {"x"})
