"""The security header, and the order of checks."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc import aio
from structlog.testing import capture_logs

from assay.errors import UnavailableError
from assay.selector import Selector
from assay.workloadapi.wire import METADATA, SERVICE, Stub
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.agent.conftest import Agents, LocalAgent

NAME = "workload.spiffe.io"
Metadata = tuple[tuple[str, str], ...]
Call = Callable[[Stub, Metadata], AsyncIterable[object] | Awaitable[object]]

CALLS: dict[str, Call] = {
    "FetchX509SVID": lambda stub, metadata: stub.fetch_x509_svid(pb.X509SVIDRequest(), metadata=metadata),
    "FetchX509Bundles": lambda stub, metadata: stub.fetch_x509_bundles(pb.X509BundlesRequest(), metadata=metadata),
    "FetchJWTSVID": lambda stub, metadata: stub.fetch_jwt_svid(pb.JWTSVIDRequest(audience=["a"]), metadata=metadata),
    "FetchJWTBundles": lambda stub, metadata: stub.fetch_jwt_bundles(pb.JWTBundlesRequest(), metadata=metadata),
    "ValidateJWTSVID": lambda stub, metadata: stub.validate_jwt_svid(
        pb.ValidateJWTSVIDRequest(audience="a", svid="b"), metadata=metadata
    ),
    "FetchWITSVID": lambda stub, metadata: stub.fetch_wit_svid(pb.WITSVIDRequest(), metadata=metadata),
    "FetchWITBundles": lambda stub, metadata: stub.fetch_wit_bundles(pb.WITBundlesRequest(), metadata=metadata),
}

WRONG: dict[str, Metadata] = {
    "missing": (),
    "capital": ((NAME, "True"),),
    "capitals": ((NAME, "TRUE"),),
    "one": ((NAME, "1"),),
    "empty": ((NAME, ""),),
    "padded": ((NAME, "true,"),),
    "twice": ((NAME, "true"), (NAME, "true")),
    "and false": ((NAME, "true"), (NAME, "false")),
    "other name": (("x-workload.spiffe.io", "true"),),
}


async def refusal_of(call: AsyncIterable[object] | Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(aio.AioRpcError) as refusal:
        if isinstance(call, AsyncIterable):
            await anext(aiter(call))
        else:
            await call
    return refusal.value.code(), refusal.value.details() or ""


@pytest.mark.spec("WEP-3-f")
@pytest.mark.spec("WEP-6-a")
@pytest.mark.parametrize("form", WRONG)
async def test_without_the_header_every_rpc_is_refused_before_anything_else(agents: Agents, form: str) -> None:
    """The agent is not even synced, and the caller not attested."""
    agent = await agents(synced=False, plugins=[Never()])
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        for call in CALLS.values():
            found = await refusal_of(call(Stub(channel), WRONG[form]))
            assert found == (grpc.StatusCode.INVALID_ARGUMENT, "security header missing from request")


@pytest.mark.spec("WEP-6-a")
@pytest.mark.parametrize("name", CALLS)
async def test_what_is_no_request_is_an_error_and_no_trace_in_the_log(
    agent: LocalAgent, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Any process of the host may send such bytes, as often as it likes."""
    method = f"/{SERVICE}/{name}"
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        call: aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(method)
        unread = await refusal_of(call(b"\xff\xff"))
        read = await refusal_of(call(b"\xff\xff", metadata=METADATA))
    assert unread == (grpc.StatusCode.INVALID_ARGUMENT, "security header missing from request")
    assert read[0] is grpc.StatusCode.INTERNAL
    assert read[1].startswith("error unmarshalling request")
    assert not [one for one in caplog.records if one.name.startswith("grpc")]


class Never:
    """An attestor that must not be asked."""

    name = "never"

    async def attest(self, pid: int) -> tuple[Selector, ...]:
        pytest.fail(f"attested {pid}")


class Broken:
    """An attestor that always fails."""

    name = "broken"

    async def attest(self, _pid: int) -> tuple[Selector, ...]:
        raise UnavailableError("no such luck")


BUILT = [name for name in CALLS if "WIT" not in name]


@pytest.mark.spec("WEP-6-c")
@pytest.mark.parametrize("name", BUILT)
async def test_before_the_first_sync_everything_is_unavailable(agents: Agents, name: str) -> None:
    agent = await agents(synced=False)
    async with aio.insecure_channel(agent.endpoint.target) as channel:
        code, message = await refusal_of(CALLS[name](Stub(channel), METADATA))
    assert code is grpc.StatusCode.UNAVAILABLE
    assert message == "agent has not synced with the server yet"


@pytest.mark.spec("WEP-6-c")
@pytest.mark.parametrize("name", BUILT)
async def test_a_caller_that_cannot_be_attested_is_told_to_come_back_and_the_log_why(agents: Agents, name: str) -> None:
    agent = await agents(plugins=[Broken()])
    with capture_logs() as logs:
        async with aio.insecure_channel(agent.endpoint.target) as channel:
            code, message = await refusal_of(CALLS[name](Stub(channel), METADATA))
    assert (code, message) == (grpc.StatusCode.UNAVAILABLE, "workload attestation failed")
    assert [(one["event"], one.get("attestor")) for one in logs if one["log_level"] == "error"] == [
        ("Workload attestor failed", "broken"),
        ("Workload attestation failed", None),
    ]


@pytest.mark.spec("WAPI-7-a")
@pytest.mark.spec("WEP-6-g")
async def test_the_wit_profile_is_unimplemented(stub: Stub) -> None:
    for name in ("FetchWITSVID", "FetchWITBundles"):
        code, message = await refusal_of(CALLS[name](stub, METADATA))
        assert code is grpc.StatusCode.UNIMPLEMENTED
        assert message.endswith("is not implemented")


async def test_a_fault_of_ours_is_an_internal_error_without_its_words(agent: LocalAgent, stub: Stub) -> None:
    agent.minter.failure = ZeroDivisionError("secret")  # type: ignore[assignment]
    agent.register("a", "/web")
    with capture_logs() as logs:
        found = await refusal_of(CALLS["FetchJWTSVID"](stub, METADATA))
    assert found == (grpc.StatusCode.INTERNAL, "internal error")
    assert any(one["event"] == "Workload API call failed" and one["exc_info"] for one in logs)
