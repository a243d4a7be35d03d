"""Proof of possession of an X.509-SVID's key: mode "spiffe"."""

import hashlib
from collections.abc import Sequence

import pytest

from assay.errors import AssayError, InvalidArgumentError, PermissionDeniedError, UnavailableError
from assay.plugin.nodeattestor import AttestedNode
from assay.spiffeid import TrustDomain
from assay.testing.authority import Authority, Ca, leaf_extensions
from assay.testing.clock import FakeClock
from assay.testing.pop import Prover, pop_payload
from assay_server.plugins.nodeattestor_x509pop import X509PopAttestor, X509PopConfig

TD = TrustDomain("example.org")


class Judge:
    """The server's end in a trust domain whose authorities may change."""

    def __init__(self, clock: FakeClock, **settings: object) -> None:
        self.authority = Authority(TD.name)
        self.roots: Sequence[bytes] = [self.authority.root.der]
        config = X509PopConfig.parse({"mode": "spiffe", **settings})
        self.attestor = X509PopAttestor(config, TD, clock, lambda: self.roots)

    async def attest(self, *uris: str, issuer: Ca | None = None) -> AttestedNode:
        signer = issuer or self.authority.root
        leaf, key = signer.issue(leaf_extensions(*uris))
        chain = [leaf] if issuer is None else [leaf, issuer.der]
        return await self.attestor.attest(pop_payload(*chain), Prover(key).answer)

    async def refusal(self, *uris: str) -> AssayError:
        with pytest.raises(AssayError) as error:
            await self.attest(*uris)
        return error.value


@pytest.fixture
def judge(clock: FakeClock) -> Judge:
    return Judge(clock)


async def test_the_agents_id_is_what_follows_the_prefix(judge: Judge) -> None:
    node = await judge.attest("spiffe://example.org/spire-exchange/rack/7")
    assert str(node.spiffe_id) == "spiffe://example.org/spire/agent/x509pop/rack/7"
    assert node.can_reattest
    root = hashlib.sha1(judge.authority.root.der, usedforsecurity=False).hexdigest()
    name, ca, serial = (str(selector) for selector in node.selectors)
    assert (name, ca) == ("x509pop:subject:cn:leaf", f"x509pop:ca:fingerprint:{root}")
    assert serial.startswith("x509pop:serialnumber:")


async def test_an_svid_of_an_intermediate(judge: Judge) -> None:
    node = await judge.attest(
        "spiffe://example.org/spire-exchange/a", issuer=Ca.create("below", issuer=judge.authority.root)
    )
    assert len([one for one in node.selectors if one.value.startswith("ca:fingerprint:")]) == 2


@pytest.mark.parametrize(
    ("prefix", "path", "expected"),
    [("/nodes", "/nodes/a", "a"), ("/nodes/", "/nodes/a/b", "a/b"), ("", "/a", "a"), ("/", "/x/a", "x/a")],
)
async def test_the_prefix_can_be_another(clock: FakeClock, prefix: str, path: str, expected: str) -> None:
    node = await Judge(clock, spiffe_prefix=prefix).attest(f"spiffe://example.org{path}")
    assert node.spiffe_id.path == f"/spire/agent/x509pop/{expected}"


async def test_a_template_may_name_the_path(clock: FakeClock) -> None:
    judge = Judge(clock, agent_path_template="/{{ .TrustDomain }}/{{ .SVIDPathTrimmed }}/node")
    node = await judge.attest("spiffe://example.org/spire-exchange/a")
    assert node.spiffe_id.path == "/spire/agent/example.org/a/node"


async def test_other_names_of_the_certificate_are_selectors(judge: Judge) -> None:
    node = await judge.attest("x509pop://example.org/rack/r/7", "spiffe://example.org/spire-exchange/a")
    assert str(node.selectors[-1]) == "x509pop:san:rack:r/7"


@pytest.mark.parametrize(
    ("uris", "reason"),
    [
        ([], "valid SVID x509 cert not found"),
        (["https://example.org/spire-exchange/a"], "valid SVID x509 cert not found"),
        (["spiffe://example.org/other/a"], "x509 cert doesnt match SVID prefix"),
        (["spiffe://example.org/spire-exchange"], "x509 cert doesnt match SVID prefix"),
        (["spiffe://example.org/spire-exchanged/a"], "x509 cert doesnt match SVID prefix"),
        (["spiffe://other.test/spire-exchange/a"], 'x509 cert is not of trust domain "example.org"'),
    ],
)
async def test_svids_that_are_not_a_nodes(judge: Judge, uris: list[str], reason: str) -> None:
    error = await judge.refusal(*uris)
    assert isinstance(error, PermissionDeniedError)
    assert error.message == reason


@pytest.mark.parametrize("path", ["/spire-exchange/", "/spire-exchange/a/../b", "/spire-exchange/%41"])
async def test_paths_that_no_agent_can_have(judge: Judge, path: str) -> None:
    error = await judge.refusal(f"spiffe://example.org{path}")
    assert isinstance(error, InvalidArgumentError)
    assert error.message.startswith("failed to make spiffe id: ")


async def test_authorities_are_those_of_the_moment(judge: Judge) -> None:
    await judge.attest("spiffe://example.org/spire-exchange/a")
    judge.roots = [Authority(TD.name).root.der]
    error = await judge.refusal("spiffe://example.org/spire-exchange/a")
    assert error.message.startswith("certificate verification failed: ")
    judge.roots = ()
    assert isinstance(await judge.refusal("spiffe://example.org/spire-exchange/a"), UnavailableError)
    judge.roots = [judge.authority.root.der]
    await judge.attest("spiffe://example.org/spire-exchange/a")


async def test_a_node_without_the_key_is_refused(judge: Judge) -> None:
    leaf, _ = judge.authority.root.issue(leaf_extensions("spiffe://example.org/spire-exchange/a"))
    _, other = judge.authority.root.issue(leaf_extensions())
    with pytest.raises(PermissionDeniedError, match="challenge response verification failed"):
        await judge.attestor.attest(pop_payload(leaf), Prover(other).answer)
