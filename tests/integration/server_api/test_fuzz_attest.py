"""The whole conversation of AttestAgent with generated messages, up to the answer to a challenge and past it.

Whatever is said in it, the answer is a refusal for what is wrong with it, and a refusal changes nothing.
"""

import asyncio
import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from assay.clock import SystemClock
from assay.crypto import csr
from assay.testing.authority import key_usage
from assay.testing.clock import FakeClock
from assay.testing.pop import Prover, pop_payload
from assay_proto.spire.api.server.agent.v1.agent_pb2 import AgentX509SVIDParams, AttestAgentRequest, AttestAgentResponse
from assay_proto.spire.api.types.attestation_pb2 import AttestationData

if TYPE_CHECKING:
    from tests.integration.server_api.conftest import House, Running
else:
    House = Running = object

ATTEST = "/spire.api.server.agent.v1.Agent/AttestAgent"
# Statuses that say that the fault is ours.
OURS = {
    grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED,
}  # fmt: skip
PATIENCE = 30.0


@dataclass(repr=False)
class Node:
    """A machine with a certificate that admits it, and the server."""

    house: House
    channel: grpc.aio.Channel
    runner: asyncio.Runner
    prover: Prover = field(init=False)
    params: bytes = field(init=False)

    def __post_init__(self) -> None:
        der, key = self.house.nodes.issue([(key_usage("digital_signature"), True)], now=self.house.clock.now())
        self.prover = Prover(key)
        self.params = AttestAgentRequest(
            params=AttestAgentRequest.Params(
                data=AttestationData(type="x509pop", payload=pop_payload(der)),
                params=AgentX509SVIDParams(csr=csr.create(key)),
            )
        ).SerializeToString()

    def says(self, *messages: bytes) -> None:
        """Send them, each after the answer to the one before, and judge how it ends."""
        self.runner.run(self._says(messages))

    async def _says(self, messages: Sequence[bytes]) -> None:
        before = self.house.content()
        with capture_logs() as logs:
            code, words, admitted = await self.conversation(messages)
        assert not [line for line in logs if line["event"] == "Unexpected error" or "exc_info" in line]
        assert "Traceback" not in words
        # What is no message at all ends a call as it does in gRPC's own libraries.
        assert code not in OURS or (code is grpc.StatusCode.INTERNAL and any(map(_unreadable, messages))), (code, words)
        assert not admitted
        assert self.house.content() == before

    async def conversation(self, messages: Sequence[bytes]) -> tuple[grpc.StatusCode, str, bool]:
        """How it ends, and whether an SVID came of it."""
        call = cast("Any", self.channel.stream_stream(ATTEST))(timeout=PATIENCE)
        try:
            for message in messages:
                await call.write(message)
                answer = await call.read()
                if answer is grpc.aio.EOF or AttestAgentResponse.FromString(answer).HasField("result"):
                    return grpc.StatusCode.OK, "", answer is not grpc.aio.EOF
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        finally:
            if not call.done():
                call.cancel()
        return await call.code(), await call.details() or "", False

    async def proof(self, change: "Change") -> bytes:
        """The right answer to a challenge that is not there, changed: it proves nothing."""
        challenge = json.dumps({"ecdsa_signature": {"nonce": base64.b64encode(bytes(32)).decode()}}).encode()
        return change(await self.prover.answer(challenge))


class Change:
    """A change to some bytes: cut, doubled, or one of them another."""

    def __init__(self, kind: int, at: int, value: int) -> None:
        self._kind, self._at, self._value = kind, at, value

    def __call__(self, data: bytes) -> bytes:
        at = self._at % len(data)
        if self._kind == 0:
            return data[:at]
        if self._kind == 1:
            return data + data[at:]
        return data[:at] + bytes([self._value]) + data[at + 1 :]

    def __repr__(self) -> str:
        return f"Change({self._kind}, {self._at}, {self._value})"


def _unreadable(message: bytes) -> bool:
    try:
        AttestAgentRequest.FromString(message)
    except DecodeError:
        return True
    return False


@pytest.fixture(scope="module")
def node(running: Running) -> Iterator[Node]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()

        async def start() -> Node:
            house = await stack.enter_async_context(running(FakeClock(SystemClock().now())))
            return Node(house, await stack.enter_async_context(house.dial()), runner)

        yield runner.run(start())
        runner.run(stack.aclose())


def answer(data: bytes) -> bytes:
    return AttestAgentRequest(challenge_response=data).SerializeToString()


texts = st.sampled_from(
    ["", "AAAA", "A", "=", "\x00", "é", base64.b64encode(bytes(32)).decode(), "A" * 4096]
) | st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
parts = st.dictionaries(st.sampled_from(["nonce", "r", "s", "signature"]), texts | values, max_size=4)
documents = st.dictionaries(st.sampled_from(["ecdsa_signature", "rsa_signature"]) | texts, parts | values, max_size=3)
answers = documents.map(lambda one: json.dumps(one).encode()) | values.map(lambda one: json.dumps(one).encode())
frames = (
    st.binary(max_size=60)
    | answers.map(answer)
    | st.binary(max_size=60).map(answer)
    | st.just(b"")
    | st.builds(
        lambda kind, payload, request: AttestAgentRequest(
            params=AttestAgentRequest.Params(
                data=AttestationData(type=kind, payload=payload), params=AgentX509SVIDParams(csr=request)
            )
        ).SerializeToString(),
        st.sampled_from(["x509pop", "join_token", "", "other"]),
        st.binary(max_size=60) | documents.map(lambda one: json.dumps(one).encode()),
        st.binary(max_size=20),
    )
)
many = settings(
    max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None
)


@many
@given(response=answers | st.binary(max_size=200))
@example(response=b"[" * 100_000)
@example(response=b'{"ecdsa_signature": {"nonce": "' + b"A" * 1_000_000 + b'"}}')
@example(response=b'{"ecdsa_signature": ' + b"9" * 5000 + b"}")
@example(response=b"\xff\xfe{}")
def test_any_answer_to_a_challenge_is_refused_for_what_is_wrong_with_it(node: Node, response: bytes) -> None:
    node.says(node.params, answer(response))


@many
@given(change=st.builds(Change, st.integers(0, 2), st.integers(0, 500), st.integers(0, 255)))
def test_a_proof_of_something_else_admits_nobody(node: Node, change: Change) -> None:
    node.says(node.params, answer(node.runner.run(node.proof(change))))


@many
@given(said=st.lists(frames, max_size=4), begun=st.booleans())
def test_any_stream_of_messages_ends_in_a_refusal(node: Node, said: list[bytes], begun: bool) -> None:
    node.says(*([node.params] if begun else []), *said)


def test_the_right_answer_admits_and_may_be_given_again(node: Node) -> None:
    """So that what the others refuse is refused for what they changed."""

    async def attest() -> bool:
        call = cast("Any", node.channel.stream_stream(ATTEST))(timeout=PATIENCE)
        await call.write(node.params)
        asked = AttestAgentResponse.FromString(await call.read())
        await call.write(answer(await node.prover.answer(asked.challenge)))
        return AttestAgentResponse.FromString(await call.read()).HasField("result")

    assert node.runner.run(attest())
    assert node.runner.run(attest())
