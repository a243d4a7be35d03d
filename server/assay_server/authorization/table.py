"""Which callers may use which RPC: SPIRE's default policy, our Sync, reflection. What is not here is refused.

Names are full method names as they stand in the HTTP/2 path.
"""

from collections.abc import Mapping
from enum import Flag, auto
from types import MappingProxyType


class Who(Flag):
    """Callers an RPC is open to."""

    ANYONE = auto()
    LOCAL = auto()
    ADMIN = auto()
    AGENT = auto()
    DOWNSTREAM = auto()


_OPERATOR = Who.LOCAL | Who.ADMIN

_AGENT_API = "/spire.api.server.agent.v1.Agent/"
_BUNDLE_API = "/spire.api.server.bundle.v1.Bundle/"
_ENTRY_API = "/spire.api.server.entry.v1.Entry/"
_SVID_API = "/spire.api.server.svid.v1.SVID/"
_TRUST_DOMAIN_API = "/spire.api.server.trustdomain.v1.TrustDomain/"
_LOCAL_AUTHORITY_API = "/spire.api.server.localauthority.v1.LocalAuthority/"
_DEBUG_API = "/spire.api.server.debug.v1.Debug/"
_LOGGER_API = "/spire.api.server.logger.v1.Logger/"
_HEALTH_API = "/grpc.health.v1.Health/"
_SYNC_API = "/assay.sync.v1.Sync/"
_REPLAYS_API = "/assay.ledger.v1.Replays/"
_GOVERNANCE_API = "/assay.governance.v1."
_POLICIES_API = "/assay.policy.v1.Policies/"
_LEDGER_API = "/assay.ledger.v1.Ledger/"
_AGENT_TASKS_API = "/assay.task.v1.AgentTasks/"
_OPERATOR_TASKS_API = "/assay.task.v1.OperatorTasks/"
_INSTANCE_API = "/assay.instance.v1.Instances/"
_AGENT_STATUS_API = "/assay.status.v1.AgentStatus/"
_REVOCATIONS_API = "/assay.revocation.v1.Revocations/"


def _rules(service: str, who: Who, *methods: str) -> dict[str, Who]:
    return {service + method: who for method in methods}


RPCS: Mapping[str, Who] = MappingProxyType(
    {
        **_rules(
            _AGENT_API, _OPERATOR, "CountAgents", "ListAgents", "GetAgent", "DeleteAgent", "BanAgent", "CreateJoinToken"
        ),
        **_rules(_AGENT_API, Who.ANYONE, "AttestAgent"),
        **_rules(_AGENT_API, Who.AGENT, "RenewAgent", "PostStatus"),
        **_rules(_BUNDLE_API, Who.ANYONE, "GetBundle"),
        **_rules(_BUNDLE_API, _OPERATOR, "CountBundles", "AppendBundle", "ListFederatedBundles"),
        **_rules(_BUNDLE_API, _OPERATOR | Who.AGENT, "GetFederatedBundle"),
        **_rules(
            _BUNDLE_API,
            _OPERATOR,
            "BatchCreateFederatedBundle",
            "BatchUpdateFederatedBundle",
            "BatchSetFederatedBundle",
            "BatchDeleteFederatedBundle",
        ),
        **_rules(_BUNDLE_API, Who.DOWNSTREAM, "PublishJWTAuthority", "PublishWITAuthority"),
        **_rules(_ENTRY_API, _OPERATOR, "CountEntries", "ListEntries", "GetEntry"),
        **_rules(_ENTRY_API, _OPERATOR, "BatchCreateEntry", "BatchUpdateEntry", "BatchDeleteEntry"),
        **_rules(_ENTRY_API, Who.AGENT, "GetAuthorizedEntries", "SyncAuthorizedEntries"),
        **_rules(_SVID_API, _OPERATOR, "MintX509SVID", "MintJWTSVID", "MintWITSVID"),
        **_rules(_SVID_API, Who.AGENT, "BatchNewX509SVID", "NewJWTSVID", "BatchNewWITSVID"),
        **_rules(_SVID_API, Who.DOWNSTREAM, "NewDownstreamX509CA"),
        **_rules(
            _TRUST_DOMAIN_API,
            _OPERATOR,
            "ListFederationRelationships",
            "GetFederationRelationship",
            "BatchCreateFederationRelationship",
            "BatchUpdateFederationRelationship",
            "BatchDeleteFederationRelationship",
            "RefreshBundle",
        ),
        **_rules(_LOCAL_AUTHORITY_API, _OPERATOR, "TaintX509UpstreamAuthority", "RevokeX509UpstreamAuthority"),
        **{
            f"{_LOCAL_AUTHORITY_API}{method}": _OPERATOR
            for kind in ("JWT", "X509", "WIT")
            for method in (
                f"Get{kind}AuthorityState",
                *(f"{verb}{kind}Authority" for verb in ("Prepare", "Activate", "Taint", "Revoke")),
            )
        },
        **_rules(_DEBUG_API, Who.LOCAL, "GetInfo"),
        **_rules(_LOGGER_API, Who.LOCAL, "GetLogger", "SetLogLevel", "ResetLogLevel"),
        **_rules(_HEALTH_API, Who.LOCAL, "Check", "List", "Watch"),
        **_rules(_SYNC_API, Who.AGENT, "Watch"),
        **_rules(_REPLAYS_API, _OPERATOR, "Explain"),
        **_rules(f"{_GOVERNANCE_API}Owners/", _OPERATOR, "Add", "Leave", "Return", "Get", "List"),
        **_rules(
            f"{_GOVERNANCE_API}Principals/",
            _OPERATOR,
            *("Register", "Update", "Activate", "Suspend", "Resume", "Retire", "Get", "List"),
            *("SetRisk", "Quarantine", "Release"),
            *("Bind", "Unbind", "ListBindings"),
        ),
        **{
            f"{_GOVERNANCE_API}Catalogue/{verb}{kind}": _OPERATOR
            for kind in ("Resource", "Tool", "Grant")
            for verb in ("Add", "Update", "Remove", "Get")
        },
        **_rules(f"{_GOVERNANCE_API}Catalogue/", _OPERATOR, "ListResources", "ListTools", "ListGrants"),
        **_rules(_LEDGER_API, _OPERATOR, "List", "Export", "ListCheckpoints", "MakeCheckpoint", "Keys", "Prune"),
        **_rules(_POLICIES_API, _OPERATOR, "Push", "Rollback", "Live", "List", "Get", "Explain", "Diff"),
        **_rules(
            _AGENT_TASKS_API,
            Who.AGENT,
            *("Open", "Get", "List", "Credential", "Decide", "Narrow", "Complete", "Heartbeat", "Watch"),
        ),
        **_rules(
            _OPERATOR_TASKS_API,
            _OPERATOR,
            *("Open", "OpenForEvent", "Show", "List", "Decide", "Narrow", "Complete", "Suspend", "Resume", "Revoke"),
        ),
        **_rules(_INSTANCE_API, Who.AGENT, "BatchNewX509SVID", "NewJWTSVID", "NewWITSVID"),
        **_rules(_AGENT_STATUS_API, Who.AGENT, "Watch"),
        **_rules(_REVOCATIONS_API, _OPERATOR, "Preview", "Revoke"),
        **{
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo": Who.LOCAL
            for version in ("v1", "v1alpha")
        },
    }
)
