"""Keys and bundles that go: open streams are told at once, and what they vouched for is worth nothing."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assay.bundle import Bundle, X509Authority
from assay.errors import InvalidArgumentError, UnauthenticatedError
from assay.svid import x509
from assay.testing.authority import Authority
from assay_agent.cache import Update

if TYPE_CHECKING:
    from tests.unit.agent.conftest import LocalAgent

    from assay.workloadapi import WorkloadApiClient


@pytest.mark.spec("TDB-3-b", "FED-6.2-a", "WAPI-4.3-a")
async def test_a_key_that_is_revoked_leaves_every_open_stream_and_vouches_for_nothing(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    compromised = Authority(authority.trust_domain.name, now=authority.now)
    compromised.jwt_key_id = "compromised"
    agent.register("a", "/web")
    sound = authority.bundle
    agent.publish(
        replace(
            sound,
            x509_authorities=(*sound.x509_authorities, *compromised.bundle.x509_authorities),
            jwt_authorities=(*sound.jwt_authorities, *compromised.bundle.jwt_authorities),
            sequence=2,
        )
    )
    home, now = authority.trust_domain, authority.now
    chain, token = compromised.x509_svid("/web").chain, compromised.jwt_svid("/web", ["x"])
    async with (
        aclosing(client.watch_x509()) as svids,
        aclosing(client.watch_x509_bundles()) as bundles,
        aclosing(client.watch_jwt_bundles()) as documents,
    ):
        known = (await anext(svids)).bundles[home]
        assert (await anext(bundles))[home] == known
        assert x509.verify(chain, {home: Bundle(home, tuple(map(X509Authority, known)))}, now) == authority.id("/web")
        assert len(json.loads((await anext(documents))[home])["keys"]) == 2
        assert (await client.validate_jwt("x", token)).spiffe_id == authority.id("/web")
        agent.publish(replace(sound, sequence=3))
        left = (await anext(svids)).bundles[home]
        assert left == (await anext(bundles))[home] == (authority.root.der,)
        with pytest.raises(UnauthenticatedError):
            x509.verify(chain, {home: Bundle(home, tuple(map(X509Authority, left)))}, now)
        (key,) = json.loads((await anext(documents))[home])["keys"]
        assert key["kid"] == authority.jwt_key_id
        with pytest.raises(InvalidArgumentError):
            await client.validate_jwt("x", token)


@pytest.mark.spec("FED-6.3-a", "FED-6.2-a")
@pytest.mark.parametrize("dissociated", [True, False], ids=["the entry forgets it", "the bundle goes"])
async def test_a_relationship_that_ends_takes_its_bundle_off_every_open_stream(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority, *, dissociated: bool
) -> None:
    friend = Authority("friend.test", now=authority.now)
    agent.publish(friend.bundle)
    entry = agent.register("a", "/web", federates_with=(friend.trust_domain,))
    token = friend.jwt_svid("/guest", ["x"])
    async with (
        aclosing(client.watch_x509()) as svids,
        aclosing(client.watch_x509_bundles()) as bundles,
        aclosing(client.watch_jwt_bundles()) as documents,
    ):
        both = {authority.trust_domain, friend.trust_domain}
        assert (await anext(svids)).bundles.keys() == both
        assert (await anext(bundles)).keys() == (await anext(documents)).keys() == both
        assert (await client.validate_jwt("x", token)).spiffe_id == friend.id("/guest")
        if dissociated:
            agent.cache.apply(Update(entries=[replace(entry, federates_with=(), revision=1)]))
        else:
            agent.cache.apply(Update(removed_bundles=[friend.trust_domain]))
        assert (await anext(svids)).bundles.keys() == {authority.trust_domain}
        assert (await anext(bundles)).keys() == (await anext(documents)).keys() == {authority.trust_domain}
        with pytest.raises(InvalidArgumentError):
            await client.validate_jwt("x", token)


@pytest.mark.spec("TDB-4.1.3-c", "TDB-4.1.3-d")
async def test_a_foreign_bundle_that_is_emptied_is_handed_on_empty_and_vouches_for_nothing(
    agent: LocalAgent, client: WorkloadApiClient, authority: Authority
) -> None:
    friend = Authority("friend.test", now=authority.now)
    agent.publish(friend.bundle)
    agent.register("a", "/web", federates_with=(friend.trust_domain,))
    token = friend.jwt_svid("/guest", ["x"])
    async with (
        aclosing(client.watch_x509()) as svids,
        aclosing(client.watch_x509_bundles()) as bundles,
        aclosing(client.watch_jwt_bundles()) as documents,
    ):
        assert (await anext(svids)).bundles[friend.trust_domain] == (friend.root.der,)
        assert (await anext(bundles))[friend.trust_domain] == (friend.root.der,)
        assert len(json.loads((await anext(documents))[friend.trust_domain])["keys"]) == 1
        assert (await client.validate_jwt("x", token)).spiffe_id == friend.id("/guest")
        agent.publish(Bundle(friend.trust_domain, sequence=2))
        assert (await anext(svids)).bundles[friend.trust_domain] == ()
        assert (await anext(bundles))[friend.trust_domain] == ()
        assert json.loads((await anext(documents))[friend.trust_domain]) == {"keys": []}
        with pytest.raises(InvalidArgumentError):
            await client.validate_jwt("x", token)
