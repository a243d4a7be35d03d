"""Calls of assay.policy.v1.Policies by the commands."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from assay.cli.admin import TIMEOUT, connect, run
from assay.wire.service import Stub
from assay_proto.policy.v1 import policy_pb2 as pb

if TYPE_CHECKING:  # exists in the stubs only
    from assay_proto.policy.v1.policy_pb2_grpc import PoliciesAsyncStub

PAGE = 100
LONG = 300.0
"""Seconds for what goes through all live tasks, or checks a large set."""

T = TypeVar("T")
_POLICIES = pb.DESCRIPTOR.services_by_name["Policies"]


def ask(socket_path: Path, call: Callable[["PoliciesAsyncStub"], Awaitable[T]]) -> T:
    """The answer to one call."""

    async def asked() -> T:
        async with connect(socket_path) as channel:
            return await call(cast("PoliciesAsyncStub", Stub(channel, _POLICIES)))

    return run(asked())


async def all_bundles(stub: "PoliciesAsyncStub") -> list[pb.Bundle]:
    """Every version that was pushed."""
    found: list[pb.Bundle] = []
    token = ""
    while True:
        page = await stub.List(pb.ListRequest(page_size=PAGE, page_token=token), timeout=TIMEOUT)
        found += page.bundles
        token = page.next_page_token
        if not token:
            return found
