"""What each RPC is about, from its messages: SPIRE's fields. Secrets are none of them: tokens, keys, payloads.

Messages are taken as they come, since a table of so many would import them all. `response` is None for a refusal.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from assay_server.api.audit import agent as agents
from assay_server.api.audit import bundle as bundles
from assay_server.api.audit import entry as entries
from assay_server.api.audit import governed
from assay_server.api.audit import ledger as ledgers
from assay_server.api.audit import policy as policies
from assay_server.api.audit import svid as svids
from assay_server.api.audit.values import enum_name
from assay_server.audit.record import Fields

About: TypeAlias = Callable[[Any, Any], Fields]
Items: TypeAlias = Callable[[Any, Any], Iterable[tuple[Fields, Any]]]

_API = "/spire.api.server."
_AGENT = f"{_API}agent.v1.Agent/"
_BUNDLE = f"{_API}bundle.v1.Bundle/"
_ENTRY = f"{_API}entry.v1.Entry/"
_SVID = f"{_API}svid.v1.SVID/"
_TRUST_DOMAIN = f"{_API}trustdomain.v1.TrustDomain/"
_GOVERNANCE = "/assay.governance.v1."
_INSTANCE = "/assay.instance.v1.Instances/"
_LOCAL_AUTHORITY = f"{_API}localauthority.v1.LocalAuthority/"
_POLICIES = "/assay.policy.v1.Policies/"
_LEDGER = "/assay.ledger.v1.Ledger/"

# Fields of calls that are one deed.
ABOUT: Mapping[str, About] = {
    f"{_AGENT}CountAgents": agents.filtered,
    f"{_AGENT}ListAgents": agents.filtered,
    f"{_AGENT}GetAgent": agents.named,
    f"{_AGENT}DeleteAgent": agents.named,
    f"{_AGENT}BanAgent": agents.named,
    f"{_AGENT}AttestAgent": agents.attested,
    f"{_AGENT}RenewAgent": agents.renewed,
    f"{_AGENT}PostStatus": agents.posted,
    f"{_AGENT}CreateJoinToken": agents.token_created,
    f"{_BUNDLE}GetBundle": bundles.own,
    f"{_BUNDLE}AppendBundle": bundles.appended,
    f"{_BUNDLE}PublishJWTAuthority": bundles.published,
    f"{_BUNDLE}GetFederatedBundle": bundles.named,
    f"{_ENTRY}CountEntries": entries.filtered,
    f"{_ENTRY}ListEntries": entries.filtered,
    f"{_ENTRY}GetEntry": entries.named,
    f"{_SVID}MintX509SVID": svids.x509_minted,
    f"{_SVID}MintJWTSVID": svids.jwt_minted,
    f"{_SVID}MintWITSVID": svids.wit_minted,
    f"{_SVID}NewJWTSVID": svids.jwt_issued,
    f"{_INSTANCE}NewJWTSVID": svids.instance_jwt_issued,
    f"{_INSTANCE}NewWITSVID": svids.instance_wit_issued,
    "/assay.ledger.v1.Replays/Explain": lambda request, _: {"task_id": request.task_id},
    f"{_SVID}NewDownstreamX509CA": svids.downstream,
    f"{_TRUST_DOMAIN}GetFederationRelationship": bundles.named,
    f"{_TRUST_DOMAIN}RefreshBundle": bundles.named,
    f"{_POLICIES}Push": policies.versioned,
    f"{_POLICIES}Rollback": policies.rolled_back,
    f"{_POLICIES}Explain": policies.explained,
    f"{_LEDGER}List": ledgers.filtered,
    f"{_LEDGER}Export": ledgers.filtered,
    f"{_LEDGER}Prune": ledgers.pruned,
    f"{_API}logger.v1.Logger/SetLogLevel": lambda request, _: {"new_log_level": enum_name(request, "new_level")},
    **{
        f"{_LOCAL_AUTHORITY}{verb}{kind}Authority": bundles.authority
        for verb in ("Activate", "Taint", "Revoke")
        for kind in ("JWT", "X509", "WIT")
    },
    **{f"{_GOVERNANCE}Owners/{verb}": governed.named for verb in ("Add", "Leave", "Return", "Get")},
    **{f"{_GOVERNANCE}Principals/{verb}": governed.named for verb in ("Register", "Get")},
    **{f"{_GOVERNANCE}Principals/{verb}": governed.changed for verb in ("Activate", "Suspend", "Resume", "Retire")},
    **{f"{_GOVERNANCE}Principals/{verb}": governed.changed for verb in ("SetRisk", "Quarantine", "Release")},
    **{f"{_GOVERNANCE}Principals/{verb}": governed.bound for verb in ("Bind", "Unbind")},
    f"{_GOVERNANCE}Principals/Update": governed.updated,
    **{
        f"{_GOVERNANCE}Catalogue/{verb}{kind}": governed.updated if verb == "Update" else governed.named
        for kind in ("Resource", "Tool", "Grant")
        for verb in ("Add", "Update", "Remove", "Get")
    },
    **{f"{_LOCAL_AUTHORITY}{verb}X509UpstreamAuthority": bundles.upstream for verb in ("Taint", "Revoke")},
}

# Fields and status of each item of a batch.
ITEMS: Mapping[str, Items] = {
    f"{_BUNDLE}BatchCreateFederatedBundle": bundles.batch,
    f"{_BUNDLE}BatchUpdateFederatedBundle": bundles.batch,
    f"{_BUNDLE}BatchSetFederatedBundle": bundles.batch,
    f"{_BUNDLE}BatchDeleteFederatedBundle": bundles.deleted,
    f"{_ENTRY}BatchCreateEntry": entries.batch,
    f"{_ENTRY}BatchUpdateEntry": entries.batch,
    f"{_ENTRY}BatchDeleteEntry": entries.deleted,
    f"{_SVID}BatchNewX509SVID": svids.x509_issued,
    f"{_SVID}BatchNewWITSVID": svids.wit_issued,
    f"{_INSTANCE}BatchNewX509SVID": svids.instance_issued,
    f"{_TRUST_DOMAIN}BatchCreateFederationRelationship": bundles.relationships,
    f"{_TRUST_DOMAIN}BatchUpdateFederationRelationship": bundles.relationships,
    f"{_TRUST_DOMAIN}BatchDeleteFederationRelationship": bundles.relationships_deleted,
}
