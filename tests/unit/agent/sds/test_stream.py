"""StreamSecrets: what is answered when, and what is not."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc import aio
from structlog.testing import capture_logs

from assay.bundle import pem
from assay_proto.envoy.config.core.v3 import base_pb2 as core
from assay_proto.envoy.service.discovery.v3 import discovery_pb2 as pb
from assay_proto.rpc.v1.status_pb2 import Status

if TYPE_CHECKING:
    from tests.unit.agent.conftest import Agents, LocalAgent, Quiet
    from tests.unit.agent.sds.conftest import Contents, SdsOf

    from assay_proto.envoy.service.secret.v3.sds_pb2_grpc import SecretDiscoveryServiceAsyncStub as Sds

OWN, WEB, DB = "spiffe://example.org", "spiffe://example.org/web", "spiffe://example.org/db"
NACK = Status(code=13, message="no such key")


class Envoy:
    """One stream, whose client answers what it got last unless told otherwise."""

    def __init__(self, sds: Sds) -> None:
        self.call: Any = sds.StreamSecrets()
        self.version = ""
        self.nonce = ""

    async def ask(self, *names: str, **fields: Any) -> None:  # noqa: ANN401 - of the request
        answered = {"version_info": self.version, "response_nonce": self.nonce, "type_url": "T"}
        await self.call.write(pb.DiscoveryRequest(resource_names=names, **(answered | fields)))

    async def read(self) -> pb.DiscoveryResponse:
        response: pb.DiscoveryResponse = await self.call.read()
        self.version, self.nonce = response.version_info, response.nonce
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


def events(logs: Iterable[Any], level: str) -> list[str]:
    return [one["event"] for one in logs if one["log_level"] == level]


async def test_the_first_request_is_answered_and_then_every_change(
    agent: LocalAgent, envoy: Envoy, contents: Contents
) -> None:
    agent.register("a", "/web")
    await envoy.ask("default", "ROOTCA")
    nonces = set[str]()
    for version in ("1", "2", "3"):
        response = await envoy.read()
        assert contents(response) == {
            "ROOTCA": {"example.org": pem.emit(agent.cache.bundles[agent.authority.trust_domain].x509_authorities)},
            "default": svid_of(agent, "a"),
        }
        assert (response.version_info, response.type_url) == (version, "T")
        assert re.fullmatch("[0-9a-f]{8}", response.nonce)
        nonces.add(response.nonce)
        # An answer alone is not answered, and is not needed for the next either.
        if version == "1":
            await envoy.ask("default", "ROOTCA")
            agent.rotate("a")
        else:
            agent.change_bundle()
    assert len(nonces) == 3


async def test_what_does_not_concern_a_stream_is_not_sent_on_it(
    agent: LocalAgent, envoy: Envoy, contents: Contents, settle: Quiet
) -> None:
    agent.register("a", "/web")
    agent.register("b", "/db")
    await envoy.ask(DB)
    await envoy.read()
    for change in (agent.change_bundle, lambda: agent.rotate("a"), lambda: agent.register("c", "/more")):
        change()
        await settle()
    agent.rotate("b")
    response = await envoy.read()
    assert contents(response) == {DB: svid_of(agent, "b")}
    # Versions name states of the cache; that of a secret never has two contents.
    assert response.version_info == "5"


async def test_a_secret_that_is_rejected_is_not_sent_again_until_it_changes(
    agent: LocalAgent, envoy: Envoy, contents: Contents
) -> None:
    agent.register("a", "/web")
    await envoy.ask("default")
    with capture_logs() as logs:
        first = await envoy.read()
        for _ in range(200):
            await envoy.ask("default", version_info="", error_detail=NACK)
        # The last one names more, so that its answer tells that all were read and none was answered.
        await envoy.ask("default", "ROOTCA", version_info="", error_detail=NACK)
        response = await envoy.read()
    assert list(contents(response)) == ["ROOTCA", "default"]
    assert (first.version_info, response.version_info) == ("1", "1")
    assert first.nonce != response.nonce
    assert events(logs, "error") == [
        "Envoy reported errors applying secrets",
        "Client rejected expected version and rolled back",
    ]
    told = next(one for one in logs if one["event"] == "Envoy reported errors applying secrets")
    assert (told["error"], told["resource_names"]) == ("no such key", ["default"])
    agent.rotate("a")
    assert (await envoy.read()).version_info == "2"


async def test_an_envoys_own_words_are_cut_short_in_the_log(agent: LocalAgent, envoy: Envoy) -> None:
    agent.register("a", "/web")
    await envoy.ask("default")
    await envoy.read()
    with capture_logs() as logs:
        await envoy.ask("default", "ROOTCA", version_info="x" * 100_000, error_detail=Status(message="y" * 100_000))
        await envoy.read()
    assert all(len(str(one)) < 2000 for one in logs if one["log_level"] == "error")


async def test_a_request_that_answers_an_older_response_is_ignored(
    agent: LocalAgent, envoy: Envoy, contents: Contents
) -> None:
    agent.register("a", "/web")
    await envoy.ask("default")
    first = await envoy.read()
    agent.rotate("a")
    await envoy.read()
    with capture_logs() as logs:
        for nonce in (first.nonce, "", "else", first.nonce):
            await envoy.ask("ROOTCA", response_nonce=nonce)
        await envoy.ask("default", "ROOTCA")
        assert list(contents(await envoy.read())) == ["ROOTCA", "default"]
    assert events(logs, "warning") == ["Received unexpected nonce; ignoring request"]


async def test_the_first_request_of_a_stream_may_answer_one_of_another_stream(
    agent: LocalAgent, envoy: Envoy, contents: Contents
) -> None:
    agent.register("a", "/web")
    await envoy.ask("default", version_info="7", response_nonce="of another")
    assert list(contents(await envoy.read())) == ["default"]


async def test_other_names_are_answered_at_once_in_the_same_version(
    agent: LocalAgent, envoy: Envoy, contents: Contents
) -> None:
    agent.register("a", "/web")
    agent.register("b", "/db")
    for names, sent in (
        (["default"], ["default"]),
        (["default", DB], [DB, "default"]),
        ([DB], [DB]),
        ([], [OWN, WEB, DB]),
        (["ROOTCA"], ["ROOTCA"]),
    ):
        await envoy.ask(*names)
        # The same names in another way are no others.
        await envoy.ask(*names, *names, response_nonce="")
        response = await envoy.read()
        assert list(contents(response)) == sent
        assert response.version_info == "1"
        await envoy.ask(*reversed(names), "", *names)


async def test_a_name_that_was_dropped_is_not_followed(
    agent: LocalAgent, envoy: Envoy, contents: Contents, settle: Quiet
) -> None:
    agent.register("a", "/web")
    entry = agent.register("b", "/db")
    await envoy.ask(WEB, DB)
    await envoy.read()
    await envoy.ask(WEB)
    await envoy.read()
    agent.rotate("b")
    await settle()
    agent.remove(entry.id)
    await settle()
    agent.rotate("a")
    assert contents(await envoy.read()) == {WEB: svid_of(agent, "a")}


async def test_what_a_node_said_once_holds_for_its_stream(envoy: Envoy, contents: Contents) -> None:
    node = core.Node()
    node.metadata.update({"disable_spiffe_cert_validation": True})
    await envoy.ask("ROOTCA", node=node)
    assert isinstance(contents(await envoy.read())["ROOTCA"], bytes)
    await envoy.ask("ROOTCA", OWN)
    assert isinstance(contents(await envoy.read())[OWN], bytes)
    await envoy.ask(OWN, node=core.Node())
    assert isinstance(contents(await envoy.read())[OWN], dict)


async def test_a_stream_ends_when_a_name_of_its_own_is_the_callers_no_more(agent: LocalAgent, envoy: Envoy) -> None:
    entry = agent.register("a", "/web")
    await envoy.ask("default")
    await envoy.read()
    with capture_logs() as logs:
        agent.remove(entry.id)
        assert await envoy.end() == (
            grpc.StatusCode.INVALID_ARGUMENT,
            'workload is not authorized for the requested identities ["default"]',
        )
    assert events(logs, "error") == ["Error building stream secrets response"]
    assert not agent.cache.wanted


async def test_who_has_no_identity_follows_the_own_bundle(agent: LocalAgent, envoy: Envoy, contents: Contents) -> None:
    await envoy.ask("ROOTCA")
    await envoy.read()
    bundle = agent.change_bundle()
    assert contents(await envoy.read()) == {"ROOTCA": {"example.org": pem.emit(bundle.x509_authorities)}}
    await envoy.ask("default")
    assert (await envoy.end())[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_svid_that_is_being_signed_anew_is_waited_for(
    agent: LocalAgent, envoy: Envoy, contents: Contents, settle: Quiet
) -> None:
    agent.register("a", "/web")
    agent.register("b", "/db")
    await envoy.ask(WEB, DB)
    await envoy.read()
    agent.cache.drop_svid("a")
    agent.rotate("b")
    await settle()
    agent.rotate("a")
    assert contents(await envoy.read()) == {WEB: svid_of(agent, "a"), DB: svid_of(agent, "b")}


async def test_a_caller_that_cannot_be_attested_is_told_so_and_no_more(agents: Agents, sds_of: SdsOf) -> None:
    class Failing:
        name = "failing"

        async def attest(self, _pid: int) -> tuple[()]:
            raise OSError("secret of the host")

    agent = await agents(plugins=[Failing()])
    async with sds_of(agent) as sds:
        envoy = Envoy(sds)
        await envoy.ask("default")
        assert await envoy.end() == (grpc.StatusCode.UNAVAILABLE, "workload attestation failed")


async def test_a_client_that_has_said_its_last_is_let_go(agent: LocalAgent, envoy: Envoy) -> None:
    agent.register("a", "/web")
    await envoy.ask("default")
    await envoy.read()
    assert agent.cache.wanted
    await envoy.call.done_writing()
    assert await envoy.end() == (grpc.StatusCode.OK, "")
    assert not agent.cache.wanted


async def test_streams_end_when_the_agent_does(agent: LocalAgent, envoy: Envoy) -> None:
    agent.register("a", "/web")
    await envoy.ask("default")
    await envoy.read()
    with capture_logs() as logs:
        await agent.endpoints.close()
        assert (await envoy.end())[0] is grpc.StatusCode.UNAVAILABLE
    assert events(logs, "error") == []


@pytest.mark.parametrize("names", [["x"] * 1001, ["spiffe://example.org/" + "x" * 500_000]], ids=["many", "long"])
async def test_more_names_than_there_are_end_the_stream(agent: LocalAgent, envoy: Envoy, names: list[str]) -> None:
    agent.register("a", "/web")
    await envoy.ask(*names)
    assert (await envoy.end())[0] is grpc.StatusCode.INVALID_ARGUMENT


async def test_two_streams_of_one_caller_do_not_know_each_other(
    agent: LocalAgent, sds: Sds, contents: Contents
) -> None:
    agent.register("a", "/web")
    one, other = Envoy(sds), Envoy(sds)
    await one.ask("default")
    await other.ask("nope")
    assert list(contents(await one.read())) == ["default"]
    assert (await other.end())[0] is grpc.StatusCode.INVALID_ARGUMENT
    agent.rotate("a")
    assert (await asyncio.wait_for(one.read(), 30)).version_info == "2"
