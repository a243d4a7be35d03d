# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""Delegated identities, debug and logger of a real agent, with what a real server says of its entries."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from assay.svid import X509Svid
from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.transport.dial import dial_unix
from assay_proto.spire.api.agent.debug.v1 import debug_pb2
from assay_proto.spire.api.agent.debug.v1.debug_pb2_grpc import DebugStub
from assay_proto.spire.api.agent.delegatedidentity.v1 import delegatedidentity_pb2 as pb
from assay_proto.spire.api.agent.delegatedidentity.v1.delegatedidentity_pb2_grpc import DelegatedIdentityStub
from assay_proto.spire.api.agent.logger.v1 import logger_pb2
from assay_proto.spire.api.agent.logger.v1.logger_pb2_grpc import LoggerStub
from assay_proto.spire.api.types import logger_pb2 as levels
from assay_proto.spire.api.types.selector_pb2 import Selector

DELEGATE = f"spiffe://{TRUST_DOMAIN}/delegate"
WEB = ["--selector", "k8s:pod-label:app:web"]


@pytest.fixture
def admin() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        yield Path(folder) / "admin" / "api.sock"


@pytest.fixture
def house(deployments: Any, admin: Path) -> Deployment:
    lines = f'admin_socket_path = "{admin}"\n    authorized_delegates = ["{DELEGATE}"]'
    deployment: Deployment = deployments(agent=lines)
    return deployment.start()


def create(house: Deployment, path: str, *args: str) -> str:
    answer = house.cli(
        "entry", "create", "--spiffe-id", f"spiffe://{TRUST_DOMAIN}{path}", "--parent-id", house.agent_id(), *args
    )
    return str(answer["results"][0]["entry"]["id"])


async def test_a_delegate_follows_another_workload_until_its_own_right_ends(house: Deployment, admin: Path) -> None:
    mine = house.register("/delegate")
    async with dial_unix(admin) as channel:
        stub = DelegatedIdentityStub(channel)
        request = pb.SubscribeToX509SVIDsRequest(selectors=[Selector(type="k8s", value="pod-label:app:web")])
        updates = aiter(stub.SubscribeToX509SVIDs(request))
        assert await anext(updates) == pb.SubscribeToX509SVIDsResponse()
        create(house, "/web", *WEB)
        (one,) = (await anext(updates)).x509_svids
        svid = X509Svid.parse(list(one.x509_svid.cert_chain), one.x509_svid_key)
        assert str(svid.spiffe_id) == f"spiffe://{TRUST_DOMAIN}/web"
        create(house, "/admin", *WEB, "--admin")
        tokens = await stub.FetchJWTSVIDs(pb.FetchJWTSVIDsRequest(audience=["a"], selectors=request.selectors))
        assert [token.id.path for token in tokens.svids] == ["/web"]
        by_pid = await anext(aiter(stub.SubscribeToX509SVIDs(pb.SubscribeToX509SVIDsRequest(pid=os.getpid()))))
        assert [found.x509_svid.id.path for found in by_pid.x509_svids] == ["/delegate"]
        bundles = await anext(aiter(stub.SubscribeToJWTBundles(pb.SubscribeToJWTBundlesRequest())))
        assert list(bundles.bundles) == [f"spiffe://{TRUST_DOMAIN}"]
        house.operator.delete(mine)
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await anext(updates)
    assert (refusal.value.code(), refusal.value.details()) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "no identity issued",
    )
    assert "BEGIN" not in house.log("agent")
    assert tokens.svids[0].token not in house.log("agent")


async def test_an_operator_sees_how_the_agent_is_and_sets_its_log(house: Deployment, admin: Path) -> None:
    house.register("/web")
    async with dial_unix(admin) as channel:
        info = await DebugStub(channel).GetInfo(debug_pb2.GetInfoRequest())
        assert [one.id.path for one in info.svid_chain] == [
            f"/{house.agent_id().partition('://')[2].partition('/')[2]}",
            "",
        ]
        assert info.cached_x509_svids_count == 1
        assert info.last_sync_success >= info.svid_chain[0].expires_at - 24 * 3600
        logger = LoggerStub(channel)
        assert (await logger.GetLogger(logger_pb2.GetLoggerRequest())).current_level == levels.DEBUG
        await logger.SetLogLevel(logger_pb2.SetLogLevelRequest(new_level=levels.ERROR))
        before = house.log("agent")
        await logger.GetLogger(logger_pb2.GetLoggerRequest())
        assert house.log("agent") == before
    house.stop("agent")
    assert not admin.exists()  # noqa: ASYNC240 - nothing else runs
