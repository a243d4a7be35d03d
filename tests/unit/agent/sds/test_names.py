"""FetchSecrets: what each name stands for, and for whom."""
# ruff: noqa: ANN401 - fields of messages pass through by name

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio
from structlog.testing import capture_logs

from assay.bundle import Bundle, pem
from assay.svid import X509Svid
from assay.testing.authority import Authority
from assay_agent.config.settings import SdsSettings
from assay_proto.envoy.config.core.v3 import base_pb2 as core
from assay_proto.envoy.service.discovery.v3 import discovery_pb2 as pb
from assay_proto.envoy.type.v3.semantic_version_pb2 import SemanticVersion

if TYPE_CHECKING:
    from tests.unit.agent.conftest import Agents, LocalAgent
    from tests.unit.agent.sds.conftest import Contents, SdsOf

    from assay_proto.envoy.service.secret.v3.sds_pb2_grpc import SecretDiscoveryServiceAsyncStub as Sds

OWN, WEB, DB = "spiffe://example.org", "spiffe://example.org/web", "spiffe://example.org/db"
TYPE_URL = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
OLD = core.Node(user_agent_build_version=core.BuildVersion(version=SemanticVersion(major_number=1, minor_number=17)))


def svid_of(agent: LocalAgent, entry_id: str) -> tuple[bytes, bytes]:
    svid: X509Svid = agent.cache.svids[entry_id]
    return svid.chain_pem(), svid.key_pem()


def ca(bundle: Bundle) -> bytes:
    return pem.emit(bundle.x509_authorities)


@pytest.fixture
def other(agent: LocalAgent) -> Bundle:
    """A bundle that the entry `a` federates with; `a` is the default of two."""
    found = Authority("other.test").bundle
    agent.publish(found)
    agent.register("b", "/db")
    agent.register("a", "/web", federates_with=(found.trust_domain,))
    return found


async def fetch(sds: Sds, *names: str, **fields: Any) -> pb.DiscoveryResponse:
    return await sds.FetchSecrets(pb.DiscoveryRequest(resource_names=names, type_url=TYPE_URL, **fields))


async def test_each_name_stands_for_its_secret(agent: LocalAgent, sds: Sds, contents: Contents, other: Bundle) -> None:
    own = agent.authority.bundle
    expected = {
        "default": svid_of(agent, "a"),
        WEB: svid_of(agent, "a"),
        DB: svid_of(agent, "b"),
        "ROOTCA": {"example.org": ca(own)},
        OWN: {"example.org": ca(own)},
        "spiffe://other.test": {"other.test": ca(other)},
        "ALL": {"example.org": ca(own), "other.test": ca(other)},
    }
    for name, content in expected.items():
        response = await fetch(sds, name)
        assert contents(response) == {name: content}
        assert (response.version_info, response.nonce, response.type_url) == ("", "", TYPE_URL)
        assert [one.type_url for one in response.resources] == [TYPE_URL]
    # SPIRE's agent refuses some of these together.
    assert contents(await fetch(sds, *expected)) == expected


async def test_all_bundles_come_by_trust_domain(agent: LocalAgent, sds: Sds, contents: Contents) -> None:
    others = [Authority(name).bundle for name in ("z.test", "a.test")]
    agent.publish(*others)
    agent.register("a", "/web", federates_with=tuple(one.trust_domain for one in others))
    assert list(contents(await fetch(sds, "ALL"))["ALL"]) == ["a.test", "example.org", "z.test"]
    assert list(contents(await fetch(sds))) == [OWN, "spiffe://a.test", "spiffe://z.test", WEB]


@pytest.mark.usefixtures("other")
async def test_no_name_is_everything_under_its_own_name_bundles_first(sds: Sds, contents: Contents) -> None:
    for names in ((), ("",), ("", "")):
        assert list(contents(await fetch(sds, *names))) == [OWN, "spiffe://other.test", WEB, DB]


@pytest.mark.usefixtures("other")
async def test_the_order_is_not_the_requests(sds: Sds, contents: Contents) -> None:
    found = contents(await fetch(sds, DB, "default", "spiffe://other.test", "ROOTCA", DB))
    assert list(found) == ["ROOTCA", "spiffe://other.test", DB, "default"]


async def test_two_entries_with_one_id_are_one_secret(agent: LocalAgent, sds: Sds, contents: Contents) -> None:
    for entry_id in ("b", "a"):
        agent.register(entry_id, "/web")
    response = await fetch(sds)
    assert list(contents(response)) == [OWN, WEB]
    assert len(response.resources) == 2
    assert contents(response)[WEB] == svid_of(agent, "a")


async def test_of_entries_with_one_hint_each_has_its_secret(agent: LocalAgent, sds: Sds, contents: Contents) -> None:
    agent.register("a", "/web", hint="x", created_at=2)
    agent.register("b", "/db", hint="x", created_at=1)
    assert list(contents(await fetch(sds))) == [OWN, WEB, DB]
    named = contents(await fetch(sds, "default", DB, WEB))
    assert named == {WEB: svid_of(agent, "a"), DB: svid_of(agent, "b"), "default": svid_of(agent, "a")}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["spiffe://example.org/else"], '["spiffe://example.org/else"]'),
        (["default", "b", "a\n", "ROOTCA"], '["a\\n" "b"]'),
        (["spiffe://third.test"], '["spiffe://third.test"]'),
        (['"é'], '["\\"é"]'),
        (["*"], '["*"]'),
    ],
)
async def test_names_that_are_not_the_callers_are_refused(
    agent: LocalAgent, sds: Sds, names: list[str], words: str
) -> None:
    agent.register("a", "/web")
    agent.register("c", "/else", "unix:uid:4294967294")
    agent.publish(Authority("third.test").bundle)
    with capture_logs() as logs, pytest.raises(aio.AioRpcError) as refusal:
        await fetch(sds, *names)
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.value.details() == f"workload is not authorized for the requested identities {words}"
    (line,) = [one for one in logs if one["log_level"] == "error"]
    assert line["event"] == "Error building fetch secrets response"


async def test_who_has_no_identity_gets_the_own_bundle_and_nothing_else(sds: Sds, contents: Contents) -> None:
    assert list(contents(await fetch(sds))) == [OWN]
    assert list(contents(await fetch(sds, "ROOTCA", "ALL"))) == ["ROOTCA", "ALL"]
    with pytest.raises(aio.AioRpcError) as refusal:
        await fetch(sds, "default")
    assert refusal.value.details() == 'workload is not authorized for the requested identities ["default"]'


async def test_names_are_what_the_configuration_says(agents: Agents, sds_of: SdsOf, contents: Contents) -> None:
    agent = await agents(sds=SdsSettings("own", "null", ""))
    agent.register("a", "/web")
    async with sds_of(agent) as sds:
        assert list(contents(await fetch(sds, "own", "null"))) == ["null", "own"]
        for name in ("default", "ROOTCA", "ALL"):
            with pytest.raises(aio.AioRpcError):
                await fetch(sds, name)


async def test_one_name_for_two_bundles_is_the_own_one(agents: Agents, sds_of: SdsOf, contents: Contents) -> None:
    agent = await agents(sds=SdsSettings(default_bundle_name="ALL"))
    async with sds_of(agent) as sds:
        assert contents(await fetch(sds, "ALL", node=OLD)) == {"ALL": ca(agent.authority.bundle)}


def metadata(value: float | str | bool | None) -> core.Node:
    found = core.Node()
    found.metadata.update({"disable_spiffe_cert_validation": value})
    return found


def version(major: int, minor: int) -> core.Node:
    number = SemanticVersion(major_number=major, minor_number=minor)
    return core.Node(user_agent_build_version=core.BuildVersion(version=number))


@pytest.mark.parametrize(
    ("told", "disabled", "spiffe"),
    [
        (core.Node(), False, True),
        (core.Node(), True, False),
        (core.Node(user_agent_version="1.10.0"), False, True),
        (version(1, 17), False, False),
        (version(1, 18), False, True),
        (version(2, 0), False, True),
        (version(0, 99), False, False),
        (core.Node(user_agent_build_version=core.BuildVersion()), False, False),
        (version(1, 18), True, False),
        (metadata(True), False, False),
        (metadata("t"), False, False),
        (metadata("TRUE"), False, False),
        (metadata("yes"), False, True),
        (metadata(1), False, True),
        (metadata(None), True, False),
        (metadata(False), True, True),
        (metadata("0"), True, True),
    ],
)  # fmt: skip
async def test_the_validator_is_the_one_that_the_envoy_can_use_and_may(
    agents: Agents, sds_of: SdsOf, contents: Contents, told: core.Node, disabled: bool, spiffe: bool
) -> None:
    agent = await agents(sds=SdsSettings(disable_spiffe_cert_validation=disabled))
    authorities = ca(agent.authority.bundle)
    async with sds_of(agent) as sds:
        found = contents(await fetch(sds, OWN, node=told))
    assert found == {OWN: {"example.org": authorities} if spiffe else authorities}


@pytest.mark.parametrize("names", [("ALL",), ("ALL", "nope")])
async def test_all_bundles_are_refused_to_envoys_that_would_mix_them_up(sds: Sds, names: tuple[str, ...]) -> None:
    with pytest.raises(aio.AioRpcError) as refusal:
        await fetch(sds, *names, node=OLD)
    assert refusal.value.code() is grpc.StatusCode.INTERNAL
    assert refusal.value.details() == 'unable to use "SPIFFE validator" on Envoy below 1.17'


async def test_an_svid_that_is_being_signed_is_waited_for_and_no_reason_to_refuse(
    agent: LocalAgent, sds: Sds, contents: Contents
) -> None:
    agent.register("a", "/web")
    agent.cache.drop_svid("a")
    with pytest.raises(aio.AioRpcError) as refusal:
        await fetch(sds, WEB)
    assert (refusal.value.code(), refusal.value.details()) == (grpc.StatusCode.UNAVAILABLE, "SVID is not signed yet")
    agent.register("b", "/db")
    with pytest.raises(aio.AioRpcError) as refusal:
        await fetch(sds, WEB, DB)
    assert (refusal.value.code(), refusal.value.details()) == (grpc.StatusCode.UNAVAILABLE, "SVID is not signed yet")
    assert list(contents(await fetch(sds, DB))) == [DB]


async def test_nobody_is_served_before_the_first_synchronization(agents: Agents, sds_of: SdsOf) -> None:
    agent = await agents(synced=False)
    async with sds_of(agent) as sds:
        with pytest.raises(aio.AioRpcError) as refusal:
            await fetch(sds)
    assert refusal.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_agent_that_serves_no_envoys_says_so_like_any_other_server(agents: Agents, sds_of: SdsOf) -> None:
    agent = await agents(sds=None)
    async with sds_of(agent) as sds:
        with pytest.raises(aio.AioRpcError) as refusal:
            await fetch(sds)
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
