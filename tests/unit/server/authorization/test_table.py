"""The table: what SPIRE's policy says, and that every RPC we serve is in it."""

import pytest

from assay_proto.governance.v1 import registration_pb2
from assay_proto.instance.v1 import instance_pb2
from assay_proto.ledger.v1 import ledger_pb2, replay_pb2
from assay_proto.policy.v1 import policy_pb2
from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2
from assay_proto.spire.api.server.debug.v1 import debug_pb2
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.logger.v1 import logger_pb2
from assay_proto.spire.api.server.svid.v1 import svid_pb2
from assay_proto.sync.v1 import sync_pb2
from assay_proto.task.v1 import task_pb2
from assay_server.authorization.table import RPCS, Who

OPERATOR = Who.LOCAL | Who.ADMIN
SERVICES = [
    module.DESCRIPTOR.services_by_name[name]
    for module, name in (
        (agent_pb2, "Agent"), (bundle_pb2, "Bundle"), (debug_pb2, "Debug"), (entry_pb2, "Entry"),
        (logger_pb2, "Logger"), (svid_pb2, "SVID"), (sync_pb2, "Sync"),
        (registration_pb2, "Owners"), (registration_pb2, "Principals"), (registration_pb2, "Catalogue"),
        (replay_pb2, "Replays"), (policy_pb2, "Policies"), (ledger_pb2, "Ledger"),
        (task_pb2, "AgentTasks"), (task_pb2, "OperatorTasks"),
        (instance_pb2, "Instances"),
    )
]  # fmt: skip


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.full_name)
def test_every_rpc_of_the_services_has_a_rule(service: object) -> None:
    names = {f"/{service.full_name}/{method.name}" for method in service.methods}  # type: ignore[attr-defined]
    assert names <= RPCS.keys()


def test_there_are_spires_rules_and_ours() -> None:
    assert len(RPCS) == 141
    assert all(who for who in RPCS.values())


@pytest.mark.parametrize(
    ("rpc", "who"),
    [
        ("/spire.api.server.agent.v1.Agent/AttestAgent", Who.ANYONE),
        ("/spire.api.server.bundle.v1.Bundle/GetBundle", Who.ANYONE),
        ("/spire.api.server.agent.v1.Agent/BanAgent", OPERATOR),
        ("/spire.api.server.agent.v1.Agent/RenewAgent", Who.AGENT),
        ("/spire.api.server.agent.v1.Agent/PostStatus", Who.AGENT),
        ("/spire.api.server.bundle.v1.Bundle/GetFederatedBundle", OPERATOR | Who.AGENT),
        ("/spire.api.server.bundle.v1.Bundle/PublishJWTAuthority", Who.DOWNSTREAM),
        ("/spire.api.server.entry.v1.Entry/SyncAuthorizedEntries", Who.AGENT),
        ("/spire.api.server.svid.v1.SVID/MintX509SVID", OPERATOR),
        ("/spire.api.server.svid.v1.SVID/BatchNewX509SVID", Who.AGENT),
        ("/spire.api.server.svid.v1.SVID/NewDownstreamX509CA", Who.DOWNSTREAM),
        ("/spire.api.server.localauthority.v1.LocalAuthority/TaintX509UpstreamAuthority", OPERATOR),
        ("/spire.api.server.localauthority.v1.LocalAuthority/GetWITAuthorityState", OPERATOR),
        ("/spire.api.server.debug.v1.Debug/GetInfo", Who.LOCAL),
        ("/spire.api.server.logger.v1.Logger/SetLogLevel", Who.LOCAL),
        ("/grpc.health.v1.Health/Check", Who.LOCAL),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Who.LOCAL),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Who.LOCAL),
        ("/assay.sync.v1.Sync/Watch", Who.AGENT),
        ("/assay.ledger.v1.Replays/Explain", OPERATOR),
        ("/assay.governance.v1.Owners/Leave", OPERATOR),
        ("/assay.governance.v1.Principals/Register", OPERATOR),
        ("/assay.governance.v1.Catalogue/RemoveTool", OPERATOR),
        ("/assay.policy.v1.Policies/Push", OPERATOR),
        ("/assay.ledger.v1.Ledger/Prune", OPERATOR),
        ("/assay.task.v1.AgentTasks/Open", Who.AGENT),
        ("/assay.task.v1.OperatorTasks/Open", OPERATOR),
        ("/assay.task.v1.OperatorTasks/Revoke", OPERATOR),
        ("/assay.instance.v1.Instances/BatchNewX509SVID", Who.AGENT),
    ],
)
def test_who_may_use_what(rpc: str, who: Who) -> None:
    assert RPCS[rpc] == who


def test_only_two_rpcs_are_open_to_anyone() -> None:
    assert [rpc.rpartition("/")[2] for rpc, who in RPCS.items() if Who.ANYONE in who] == ["AttestAgent", "GetBundle"]
