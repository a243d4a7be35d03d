"""Generated requests to every RPC, by everyone it is open to: answers or refusals, and a refusal changes nothing."""

import asyncio
import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import UniformResourceIdentifier
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

import assay_proto
from assay.clock import SystemClock
from assay.crypto import csr, keys
from assay.keymanager.base import KeyType
from assay.spiffeid import SpiffeId
from assay.testing.authority import Authority
from assay.testing.clock import FakeClock
from assay_server.authorization.table import RPCS, Who

if TYPE_CHECKING:
    from tests.integration.server_api.conftest import House, Running
else:
    House = Running = object

EXAMPLES = 25
POST_STATUS = "/spire.api.server.agent.v1.Agent/PostStatus"
# Statuses that say that the fault is ours: an answer with one of them fails the test.
OURS = {
    grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED,
}  # fmt: skip
OUR_NUMBERS = {code.value[0] for code in OURS}

KEY = keys.generate(KeyType.EC_P256)
OTHER = Authority("other.test")
CSR = csr.create(KEY, None, UniformResourceIdentifier("spiffe://example.org/minted"))


def _services() -> Iterator[ServiceDescriptor]:
    for module in pkgutil.walk_packages(assay_proto.__path__, "assay_proto."):
        if module.name.endswith("_pb2"):
            importlib.import_module(module.name)
    assert health_pb2.DESCRIPTOR  # imported for its service
    for name in sorted({rpc[1:].rpartition("/")[0] for rpc in RPCS}):
        try:
            yield descriptor_pool.Default().FindServiceByName(name)
        except KeyError:  # no .proto of it here yet, so that nothing serves it
            continue


METHODS: list[MethodDescriptor] = [method for service in _services() for method in service.methods]


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


CASES = [(method, who) for method in METHODS for who in RPCS[path_of(method)]]


@dataclass(repr=False)
class Fuzzed:
    """A server with something in it, and everyone who may call it; it runs while `run` does."""

    house: House
    channels: dict[Who, grpc.aio.Channel]
    runner: "asyncio.Runner"

    def call(self, rpc: str, who: Who, request: bytes) -> None:
        """Call it and judge the answer."""
        self.runner.run(self._call(rpc, who, request))

    async def _call(self, rpc: str, who: Who, request: bytes) -> None:
        if rpc == POST_STATUS:  # ten a second are answered at once
            self.house.clock.advance(0.1)
        before = self.house.content()
        with capture_logs() as logs:
            code, words, answer = await self._answer(rpc, who, request)
        assert not [line for line in logs if line["event"] == "Unexpected error" or "exc_info" in line]
        assert "Traceback" not in words
        assert code not in OURS, (code, words)
        if code is grpc.StatusCode.OK and not _all_refused(rpc, answer):
            return
        assert self.house.content() == before

    async def _answer(self, rpc: str, who: Who, request: bytes) -> tuple[grpc.StatusCode, str, bytes]:
        call = cast("Any", self.channels[who]).unary_stream(rpc)(request, timeout=30)
        try:
            answer = await call.read()
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details() or "", b""
        finally:
            call.cancel()
        return grpc.StatusCode.OK, "", answer if isinstance(answer, bytes) else b""


def _all_refused(rpc: str, answer: bytes) -> bool:
    """Whether it is the answer to a batch of which nothing was done; no item may fail by our own fault."""
    service, _, name = rpc[1:].rpartition("/")
    output = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name].output_type
    if "results" not in output.fields_by_name:
        return False
    results = cast("Any", GetMessageClass(output).FromString(answer)).results
    codes: list[int] = [result.status.code for result in results]
    assert not OUR_NUMBERS.intersection(codes), results
    return bool(codes) and 0 not in codes


@pytest.fixture(scope="module")
def fuzzed(running: Running) -> Iterator[Fuzzed]:
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        yield runner.run(_start(running, runner, stack))
        runner.run(stack.aclose())


async def _start(running: Running, runner: asyncio.Runner, stack: AsyncExitStack) -> Fuzzed:
    house = await stack.enter_async_context(running(FakeClock(SystemClock().now())))
    await house.federate()
    domain = house.ADMIN.trust_domain
    agent_id, agent = await house.attest()
    victim, _ = await house.attest("victim")
    downstream = SpiffeId(domain, "/downstream")
    await house.register(downstream, victim, downstream=True)
    await house.register(SpiffeId(domain, "/workload"), agent_id)
    return Fuzzed(
        house,
        {
            Who.LOCAL: house.admin,
            Who.ADMIN: await stack.enter_async_context(house.dial(await house.mint(house.ADMIN))),
            Who.AGENT: await stack.enter_async_context(house.dial(agent)),
            Who.DOWNSTREAM: await stack.enter_async_context(house.dial(await house.mint(downstream))),
            Who.ANYONE: await stack.enter_async_context(house.dial()),
        },
        runner,
    )


# What gets past the first check more often than chance would; the rest is chance.
STRINGS: Sequence[str] = (
    "", "example.org", "spiffe://example.org", "foreign.test", "spiffe://foreign.test", "other.test", "EXAMPLE.org",
    "/workload", "/downstream", "/new", "/spire/agent/join_token/victim", "/spire/server", "/", "//", "/a/../b",
    "spiffe://example.org/workload", "unix", "uid:1", "join_token", "x509pop", "1.15.3", "a-hint", "dns.test",
    "*.dns.test", "known-id", "victim", "\x00", "\U0001f600", "x" * 300, "x" * 3000, "999999999999999999999",
)  # fmt: skip
BYTES: Sequence[bytes] = (
    b"", CSR, CSR[:-1], OTHER.root.der, OTHER.root.der[:-1], OTHER.root.der * 2, b"victim",
    KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
)  # fmt: skip
# By the field's name: what is right there.
RIGHT: Mapping[str, Sequence[str] | Sequence[bytes]] = {
    "trust_domain": ("example.org", "foreign.test"),
    "trust_domains": ("foreign.test", "other.test"),
    "federates_with": ("foreign.test",),
    "path": ("/workload", "/new", "/spire/agent/join_token/victim"),
    "type": ("unix", "join_token"),
    "dns_names": ("dns.test",),
    "csr": (CSR,),
    "asn1": (OTHER.root.der,),
    "public_key": (KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),),
}
SIZES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
# Near now, or at an edge, or anything.
NUMBERS = (-1, 0, 1, 60, 2**31 - 1, 2**31, 2**32 - 1, 253402300800, 2**63 - 1)


def _scalars(descriptor: FieldDescriptor) -> st.SearchStrategy[Any]:
    right = RIGHT.get(descriptor.name)
    if right is None or descriptor.cpp_type != FieldDescriptor.CPPTYPE_STRING:
        return _anything(descriptor)
    return st.integers(0, 7).flatmap(lambda chance: st.sampled_from(right) if chance else _anything(descriptor))


def _anything(descriptor: FieldDescriptor) -> st.SearchStrategy[Any]:
    kind = descriptor.cpp_type
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if descriptor.enum_type is not None:
        return st.sampled_from([*descriptor.enum_type.values_by_number]) | st.integers(-1, 9)
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if descriptor.type == FieldDescriptor.TYPE_BYTES:
            return st.sampled_from(BYTES) | st.binary(max_size=40)
        return st.sampled_from(STRINGS) | st.text(st.characters(codec="utf-8"), max_size=20)
    low, high = SIZES[kind]
    return st.sampled_from([number for number in NUMBERS if low <= number <= high]) | st.integers(low, high)


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 0) -> Message:
    """Any message of that type, with more of what is nearly right than chance would have."""
    message = GetMessageClass(descriptor)()
    for each in descriptor.fields:
        if draw(st.integers(0, 4 + 4 * depth)) == 0:
            continue
        target = getattr(message, each.name)
        if each.message_type is not None:
            inner = messages(each.message_type, depth + 1)
            if each.message_type.GetOptions().map_entry:  # the maps that there are have scalar values
                target.update({one.key: one.value for one in cast("list[Any]", draw(st.lists(inner, max_size=3)))})
            elif each.is_repeated:
                target.extend(draw(st.lists(inner, max_size=3)))
            else:
                target.CopyFrom(draw(inner))
                target.SetInParent()
        elif each.is_repeated:
            target.extend(draw(st.lists(_scalars(each), max_size=3)))
        else:
            setattr(message, each.name, draw(_scalars(each)))
    return message


def _name(value: object) -> str:
    return value.full_name if isinstance(value, MethodDescriptor) else getattr(value, "name", str(value))


many = settings(
    max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize(("method", "who"), CASES, ids=_name)
@many
@given(data=st.data())
def test_any_request_is_answered_or_refused_for_what_is_wrong_with_it(
    fuzzed: Fuzzed, method: MethodDescriptor, who: Who, data: st.DataObject
) -> None:
    fuzzed.call(path_of(method), who, data.draw(messages(method.input_type)).SerializeToString())
