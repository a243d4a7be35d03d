"""DeltaSecrets: what a client lacks, and nothing twice."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio
from structlog.testing import capture_logs

from assay.testing.authority import Authority
from assay_proto.envoy.config.core.v3 import base_pb2 as core
from assay_proto.envoy.service.discovery.v3 import discovery_pb2 as pb
from assay_proto.envoy.type.v3.semantic_version_pb2 import SemanticVersion
from assay_proto.rpc.v1.status_pb2 import Status

if TYPE_CHECKING:
    from tests.unit.agent.conftest import LocalAgent, Quiet
    from tests.unit.agent.sds.conftest import Contents

    from assay_proto.envoy.service.secret.v3.sds_pb2_grpc import SecretDiscoveryServiceAsyncStub as Sds

OWN, WEB, DB = "spiffe://example.org", "spiffe://example.org/web", "spiffe://example.org/db"
TYPE_URL = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
NACK = Status(code=13, message="no such key")


class Envoy:
    """One stream."""

    def __init__(self, sds: Sds) -> None:
        self.call: Any = sds.DeltaSecrets()

    async def ask(self, *names: str, drop: tuple[str, ...] = (), has: Mapping[str, str] = {}, **fields: Any) -> None:  # noqa: ANN401 - of the request; not changed
        request = pb.DeltaDiscoveryRequest(
            resource_names_subscribe=names,
            resource_names_unsubscribe=drop,
            initial_resource_versions=has,
            **fields,
        )
        await self.call.write(request)

    async def read(self) -> pb.DeltaDiscoveryResponse:
        response: pb.DeltaDiscoveryResponse = await self.call.read()
        return response

    async def end(self) -> tuple[grpc.StatusCode, str]:
        with contextlib.suppress(aio.AioRpcError):
            assert await self.call.read() is aio.EOF
        return await self.call.code(), await self.call.details()


@pytest.fixture
def envoy(sds: Sds) -> Envoy:
    return Envoy(sds)


def svid_of(agent: LocalAgent, entry_id: str) -> tuple[bytes, bytes]:
    return agent.cache.svids[entry_id].chain_pem(), agent.cache.svids[entry_id].key_pem()


def versions(response: pb.DeltaDiscoveryResponse) -> dict[str, str]:
    return {one.name: one.version for one in response.resources}


def removed(response: pb.DeltaDiscoveryResponse) -> list[str]:
    return list(response.removed_resources)


async def test_only_what_has_changed_is_sent(
    agent: LocalAgent, envoy: Envoy, contents: Contents, settle: Quiet
) -> None:
    agent.register("a", "/web")
    agent.register("b", "/db")
    await envoy.ask("default", DB, "ROOTCA")
    first = await envoy.read()
    assert list(contents(first)) == ["ROOTCA", DB, "default"]
    assert contents(first)["default"] == svid_of(agent, "a")
    assert (first.type_url, first.system_version_info, len(first.nonce)) == (TYPE_URL, "1", 8)
    assert list(versions(first)) == list(contents(first))
    assert not first.removed_resources
    agent.register("c", "/more")
    await settle()
    agent.rotate("a")
    second = await envoy.read()
    assert contents(second) == {"default": svid_of(agent, "a")}
    assert versions(second)["default"] != versions(first)["default"]
    assert second.system_version_info == "3"
    agent.change_bundle()
    third = await envoy.read()
    assert list(contents(third)) == ["ROOTCA"]
    assert len({first.nonce, second.nonce, third.nonce}) == 3


async def test_what_a_client_has_from_before_is_not_sent_again(agent: LocalAgent, sds: Sds, contents: Contents) -> None:
    agent.register("a", "/web")
    agent.register("b", "/db")
    before = Envoy(sds)
    await before.ask(WEB, DB)
    has = versions(await before.read())
    agent.rotate("a")
    after = Envoy(sds)
    await after.ask(WEB, DB, has=has)
    assert contents(await after.read()) == {WEB: svid_of(agent, "a")}
    # Only the first request says what is there.
    await after.ask("ROOTCA", has={"ROOTCA": "x"})
    assert list(contents(await after.read())) == ["ROOTCA"]


async def test_what_is_subscribed_to_once_more_is_sent_once_more(
    agent: LocalAgent, envoy: Envoy, contents: Contents
) -> None:
    agent.register("a", "/web")
    await envoy.ask(WEB, "ROOTCA")
    await envoy.read()
    await envoy.ask(WEB)
    assert list(contents(await envoy.read())) == [WEB]
    await envoy.ask("nope")
    assert (await envoy.read()).removed_resources == ["nope"]
    await envoy.ask("nope")
    assert (await envoy.read()).removed_resources == ["nope"]


async def test_what_is_unsubscribed_is_not_followed(
    agent: LocalAgent, envoy: Envoy, contents: Contents, settle: Quiet
) -> None:
    agent.register("a", "/web")
    entry = agent.register("b", "/db")
    await envoy.ask(WEB, DB)
    await envoy.read()
    await envoy.ask(drop=(DB, "never"))
    await envoy.ask("ROOTCA")
    assert list(contents(await envoy.read())) == ["ROOTCA"]
    agent.rotate("b")
    await settle()
    agent.remove(entry.id)
    await settle()
    agent.rotate("a")
    response = await envoy.read()
    assert list(contents(response)) == [WEB]
    assert not response.removed_resources
    # Nothing is not everything, once something was asked for.
    await envoy.ask(drop=(WEB, "ROOTCA"))
    agent.change_bundle()
    await settle()
    await envoy.ask(WEB)
    assert list(contents(await envoy.read())) == [WEB]


async def test_what_is_not_the_callers_is_said_to_be_removed_and_comes_when_it_is(
    agent: LocalAgent, envoy: Envoy, contents: Contents
) -> None:
    with capture_logs() as logs:
        await envoy.ask("default", "ROOTCA")
        response = await envoy.read()
    assert list(contents(response)) == ["ROOTCA"]
    assert response.removed_resources == ["default"]
    (line,) = [one for one in logs if one["log_level"] == "error"]
    assert (line["pid"], line["method"]) == (os.getpid(), "DeltaSecrets")
    assert line["error"] == 'workload is not authorized for the requested identities ["default"]'
    entry = agent.register("a", "/web")
    response = await envoy.read()
    assert contents(response) == {"default": svid_of(agent, "a")}
    agent.remove(entry.id)
    response = await envoy.read()
    assert (len(response.resources), removed(response)) == (0, ["default"])
    agent.change_bundle()
    assert not (await envoy.read()).removed_resources


@pytest.mark.parametrize("names", [(), ("*",)], ids=["nothing", "star"])
async def test_everything_is_what_there_is_and_what_comes(
    agent: LocalAgent, envoy: Envoy, contents: Contents, names: tuple[str, ...]
) -> None:
    entry = agent.register("a", "/web")
    await envoy.ask(*names)
    response = await envoy.read()
    assert (list(contents(response)), removed(response)) == ([OWN, WEB], [])
    agent.register("b", "/db")
    assert list(contents(await envoy.read())) == [DB]
    await envoy.ask("default")
    assert list(contents(await envoy.read())) == ["default"]
    agent.remove(entry.id)
    response = await envoy.read()
    assert (contents(response), removed(response)) == ({"default": svid_of(agent, "b")}, [WEB])
    other = Authority("other.test")
    agent.publish(other.bundle)
    agent.register("c", "/peer", federates_with=(other.trust_domain,))
    assert list(contents(await envoy.read())) == ["spiffe://other.test", "spiffe://example.org/peer"]
    await envoy.ask(drop=("*",))
    agent.change_bundle()
    agent.rotate("b")
    assert list(contents(await envoy.read())) == ["default"]


async def test_what_is_let_go_and_is_among_everything_is_sent_again_and_else_removed(
    agent: LocalAgent, envoy: Envoy, contents: Contents
) -> None:
    agent.register("a", "/web")
    await envoy.ask("*", "default", WEB)
    assert list(contents(await envoy.read())) == [OWN, WEB, "default"]
    await envoy.ask(drop=("default", WEB, "never"))
    with capture_logs() as logs:
        response = await envoy.read()
    assert (list(contents(response)), removed(response)) == ([WEB], ["default"])
    assert not [one for one in logs if one["log_level"] == "error"]
    agent.rotate("a")
    assert list(contents(await envoy.read())) == [WEB]


async def test_who_had_everything_is_told_what_is_gone(envoy: Envoy, contents: Contents) -> None:
    await envoy.ask(has={DB: "0123456789abcdef"})
    response = await envoy.read()
    assert (list(contents(response)), removed(response)) == ([OWN], [DB])


async def test_a_secret_that_is_rejected_is_not_sent_again_until_it_changes(
    agent: LocalAgent, envoy: Envoy, contents: Contents
) -> None:
    agent.register("a", "/web")
    await envoy.ask(WEB)
    with capture_logs() as logs:
        first = await envoy.read()
        for _ in range(200):
            await envoy.ask(response_nonce=first.nonce, error_detail=NACK)
            await envoy.ask(response_nonce="another", error_detail=NACK)
            await envoy.ask(error_detail=NACK)
            await envoy.ask(response_nonce=first.nonce)
        # The last one names more, so that its answer tells that all were read and none was answered.
        await envoy.ask("ROOTCA", response_nonce=first.nonce, error_detail=NACK)
        assert list(contents(await envoy.read())) == ["ROOTCA"]
    assert [one["event"] for one in logs if one["log_level"] == "error"] == ["Envoy reported errors applying secrets"]
    agent.rotate("a")
    assert list(contents(await envoy.read())) == [WEB]


async def test_an_svid_that_is_being_signed_anew_is_not_gone(
    agent: LocalAgent, envoy: Envoy, contents: Contents
) -> None:
    agent.register("a", "/web")
    agent.register("b", "/db")
    await envoy.ask(WEB, DB)
    await envoy.read()
    agent.cache.drop_svid("a")
    agent.rotate("b")
    response = await envoy.read()
    assert (list(contents(response)), removed(response)) == ([DB], [])
    agent.rotate("a")
    assert contents(await envoy.read()) == {WEB: svid_of(agent, "a")}


async def test_all_bundles_are_refused_to_envoys_that_would_mix_them_up(envoy: Envoy) -> None:
    number = SemanticVersion(major_number=1, minor_number=17)
    node = core.Node(user_agent_build_version=core.BuildVersion(version=number))
    await envoy.ask("ALL", node=node)
    assert await envoy.end() == (
        grpc.StatusCode.INTERNAL, 'unable to use "SPIFFE validator" on Envoy below 1.17',
    )  # fmt: skip


@pytest.mark.parametrize(
    "requests",
    [
        [{"resource_names_subscribe": ["x"] * 1001}],
        [{"resource_names_subscribe": [f"{n}" for n in range(start, start + 600)]} for start in (0, 600)],
        [{"resource_names_unsubscribe": ["x"] * 1001}],
        [{"initial_resource_versions": {f"{n}": "x" for n in range(1001)}}],
        [{"initial_resource_versions": {"x" * 70_000: "x"}}],
        [{"resource_names_subscribe": ["x" * 40_000]}, {"resource_names_subscribe": ["y" * 40_000]}],
    ],
)
async def test_what_would_have_to_be_kept_is_bounded(envoy: Envoy, requests: list[dict[str, Any]]) -> None:
    for request in requests:
        await envoy.call.write(pb.DeltaDiscoveryRequest(**request))
    with pytest.raises(aio.AioRpcError) as refusal:
        while True:
            await envoy.read()
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
