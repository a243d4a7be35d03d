# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""A principal's standing, as its workloads see it: through real daemons, and over the server's death."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from assay.cli.admin import dial
from assay.testing.deployment import Deployment
from assay.wire.governance import owners_stub, principals_stub
from assay_proto.governance.v1 import registration_pb2 as pb

if TYPE_CHECKING:
    from assay_proto.governance.v1.registration_pb2_grpc import OwnersAsyncStub, PrincipalsAsyncStub

PATIENCE = 60.0
ALICE = "person:alice@corp"
MANY = 260


@asynccontextmanager
async def admin(deployment: Deployment) -> AsyncIterator[tuple["OwnersAsyncStub", "PrincipalsAsyncStub"]]:
    channel = dial(deployment.admin)
    try:
        yield owners_stub(channel), principals_stub(channel)
    finally:
        await channel.close()


def batch(name: str) -> pb.Principal:
    """A service that lacks nothing."""
    return pb.Principal(
        name=name, actor_type="service", owner=ALICE, purpose="nightly run", environment="prod", tenant="acme",
        data_classes=["ledger"], risk_class="low",
    )  # fmt: skip


async def until(updates: Any, wanted: list[str]) -> None:
    async with asyncio.timeout(PATIENCE):
        async for context in updates:
            if sorted(one.svid.spiffe_id.path for one in context.svids) == wanted:
                return


async def test_a_suspended_principals_svid_is_withdrawn_from_open_streams(
    deployment: Deployment, workload: Any
) -> None:
    """Requirements 6 and 51, to the workload: when it is suspended, when its owner leaves, when it retires."""
    deployment.register("/plain")
    mine = pb.BindRequest(
        principal="batch", parent_id=deployment.agent_id(), selectors=[f"unix:uid:{os.getuid()}"], x509_svid_ttl=600
    )
    change = pb.ChangeRequest(name="batch")
    async with admin(deployment) as (owners, principals), workload(deployment) as updates:
        await until(updates, ["/plain"])
        await owners.Add(pb.OwnerName(name=ALICE))
        await principals.Register(batch("batch"))
        bound = await principals.Bind(mine)
        assert bound.withheld
        await principals.Activate(change)
        await until(updates, ["/plain", "/principal/batch"])

        await principals.Suspend(change)
        await until(updates, ["/plain"])
        await principals.Resume(change)
        await until(updates, ["/plain", "/principal/batch"])

        left = await owners.Leave(pb.OwnerName(name=ALICE))
        assert (list(left.stopped.principals), left.stopped.bindings) == (["batch"], 1)
        await until(updates, ["/plain"])
        await owners.Return(pb.OwnerName(name=ALICE))
        await principals.Resume(change)
        await until(updates, ["/plain", "/principal/batch"])

        await principals.Retire(change)
        await until(updates, ["/plain"])
        report = await principals.Get(pb.PrincipalName(name="batch"))
        assert report.binding_count == 0


async def test_the_sweep_goes_on_after_the_server_was_killed(deployment: Deployment) -> None:
    """Requirement 6: what an owner's leaving began is done by whichever server runs next."""
    async with admin(deployment) as (owners, principals):
        await owners.Add(pb.OwnerName(name=ALICE))
        for number in range(MANY):
            await principals.Register(batch(f"batch-{number}"))
            await principals.Activate(pb.ChangeRequest(name=f"batch-{number}"))
        left = await owners.Leave(pb.OwnerName(name=ALICE))
        deployment.stop("server", signal.SIGKILL)
    assert left.pending

    deployment.start_server()
    async with admin(deployment) as (_, principals), asyncio.timeout(PATIENCE):
        while (await principals.List(pb.ListPrincipalsRequest(state="active"))).principals:  # noqa: ASYNC110 - it is nobody's to tell
            await asyncio.sleep(0.1)
        found = (await principals.List(pb.ListPrincipalsRequest(owner=ALICE, orphaned=True))).principals
    assert {one.principal.state_reason for one in found} == {"owner left"}
    assert len(found) == MANY
