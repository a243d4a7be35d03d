"""Chains that are remembered: as long as nothing that they stand on is another or over, and no longer."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from assay.authorize import NotAuthorizedError, any_id, matching
from assay.bundle import Bundle
from assay.spiffeid import TrustDomain
from assay.svid.refusal import Reason, SvidRefusedError
from assay.testing.authority import HOUR, Authority
from assay.testing.clock import FakeClock
from assay_server.oauth.chains import Chains


@dataclass
class Trusted:
    """A source whose bundles a test replaces."""

    held: Mapping[TrustDomain, Bundle]

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        return self.held


@pytest.fixture
def authority() -> Authority:
    return Authority("example.test")


@pytest.fixture
def trusted(authority: Authority) -> Trusted:
    return Trusted({authority.trust_domain: authority.bundle})


@pytest.fixture
def chains(trusted: Trusted, clock: FakeClock) -> Chains:
    return Chains(trusted, any_id(), clock)


def test_a_chain_is_proven_once(chains: Chains, authority: Authority, clock: FakeClock) -> None:
    svid = authority.x509_svid("/bot")
    proven = chains.prove(svid.chain)
    clock.advance(HOUR - 1)
    assert chains.prove(tuple(svid.chain)) is proven
    assert (proven.spiffe_id, proven.ends_at) == (svid.spiffe_id, int(svid.not_after))


def test_it_is_refused_once_its_end_has_come(chains: Chains, authority: Authority, clock: FakeClock) -> None:
    chain = authority.x509_svid("/bot").chain
    for seconds in (HOUR, 1):
        chains.prove(chain)
        clock.advance(seconds)
    with pytest.raises(SvidRefusedError) as refused:
        chains.prove(chain)
    assert refused.value.reason is Reason.EXPIRED


def test_it_is_refused_once_the_authority_behind_it_has_ended(clock: FakeClock) -> None:
    authority = Authority("example.test", lifetime=60)
    chains = Chains(Trusted({authority.trust_domain: authority.bundle}), any_id(), clock)
    chain = authority.x509_svid("/bot").chain
    chains.prove(chain)
    clock.advance(61)
    with pytest.raises(SvidRefusedError) as refused:
        chains.prove(chain)
    assert refused.value.reason is Reason.UNTRUSTED


def test_it_is_refused_once_nobody_vouches_for_it_any_more(
    chains: Chains, trusted: Trusted, authority: Authority
) -> None:
    chain = authority.x509_svid("/bot").chain
    chains.prove(chain)
    trusted.held = {authority.trust_domain: replace(authority.bundle, x509_authorities=())}
    with pytest.raises(SvidRefusedError) as refused:
        chains.prove(chain)
    assert refused.value.reason is Reason.UNKNOWN_TRUST_DOMAIN


def test_it_is_refused_when_the_clock_goes_back_before_it(
    chains: Chains, authority: Authority, clock: FakeClock
) -> None:
    clock.advance(HOUR)
    chain = authority.x509_svid("/bot", now=clock.now()).chain
    chains.prove(chain)
    clock.jump(-HOUR)
    with pytest.raises(SvidRefusedError) as refused:
        chains.prove(chain)
    assert refused.value.reason is Reason.NOT_YET_VALID


def test_who_is_wanted_is_asked_each_time(trusted: Trusted, authority: Authority, clock: FakeClock) -> None:
    wanted = {"/bot"}
    chains = Chains(trusted, matching(lambda one: one.path in wanted, "bots"), clock)
    chain = authority.x509_svid("/bot").chain
    chains.prove(chain)
    wanted.clear()
    with pytest.raises(NotAuthorizedError):
        chains.prove(chain)


def test_another_signature_over_the_same_is_another_chain(chains: Chains, authority: Authority) -> None:
    chain = authority.x509_svid("/bot").chain
    chains.prove(chain)
    with pytest.raises(SvidRefusedError):
        chains.prove((chain[0][:-1] + bytes([chain[0][-1] ^ 1]), *chain[1:]))


def test_no_more_are_remembered_than_may_be(trusted: Trusted, authority: Authority, clock: FakeClock) -> None:
    chains = Chains(trusted, any_id(), clock, kept=2)
    svids = [authority.x509_svid(f"/bot/{number}").chain for number in range(3)]
    first, _, last = [chains.prove(chain) for chain in svids]
    assert chains.prove(svids[2]) is last
    assert chains.prove(svids[0]) is not first
