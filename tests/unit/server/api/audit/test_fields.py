"""What each RPC's messages say for the trail: SPIRE's fields, and no secret."""

import hashlib
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import BoolValue, StringValue

from assay.crypto import csr, keys
from assay.keymanager.base import KeyType
from assay_proto.instance.v1 import instance_pb2
from assay_proto.ledger.v1 import ledger_pb2, replay_pb2
from assay_proto.policy.v1 import policy_pb2
from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.svid.v1 import svid_pb2
from assay_proto.spire.api.types import bundle_pb2 as bundle_types
from assay_proto.spire.api.types import (
    federateswith_pb2,
    jwtsvid_pb2,
    selector_pb2,
    status_pb2,
    witsvid_pb2,
    x509svid_pb2,
)
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID
from assay_server.api.audit.fields import ABOUT, ITEMS
from assay_server.authorization.table import RPCS

API = "/spire.api.server."
AGENT = SPIFFEID(trust_domain="example.org", path="/spire/agent/one")
ONE = "spiffe://example.org/spire/agent/one"
SELECTORS = [selector_pb2.Selector(type="unix", value="uid:1"), selector_pb2.Selector(type="k8s", value="ns:a")]
OK = status_pb2.Status(code=0, message="OK")
BAD = status_pb2.Status(code=3, message="bad")
SECRET = "s3cret"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def about(method: str, request: Any, response: Any = None) -> dict[str, object]:  # noqa: ANN401 - messages
    return dict(ABOUT[f"{API}{method}"](request, response))


def items(method: str, request: Any, response: Any) -> list[tuple[dict[str, object], int]]:  # noqa: ANN401 - messages
    return [(dict(fields), status.code) for fields, status in ITEMS[f"{API}{method}"](request, response)]


def test_every_name_is_one_of_an_rpc() -> None:
    assert not (ABOUT.keys() | ITEMS.keys()) - RPCS.keys()
    assert not ABOUT.keys() & ITEMS.keys()
    assert {name for name in RPCS if "/Batch" in name} == ITEMS.keys()


@pytest.mark.parametrize("method", ["GetAgent", "DeleteAgent", "BanAgent"])
def test_agents_are_named(method: str) -> None:
    requests = {
        "GetAgent": agent_pb2.GetAgentRequest, "DeleteAgent": agent_pb2.DeleteAgentRequest,
        "BanAgent": agent_pb2.BanAgentRequest,
    }  # fmt: skip
    assert about(f"agent.v1.Agent/{method}", requests[method](id=AGENT)) == {"spiffe_id": ONE}
    assert about(f"agent.v1.Agent/{method}", requests[method]()) == {}
    assert about(f"agent.v1.Agent/{method}", requests[method](id=SPIFFEID(trust_domain="!"))) == {}


def test_by_what_agents_are_looked_for() -> None:
    where = agent_pb2.ListAgentsRequest.Filter(
        by_attestation_type="x509pop",
        by_banned=BoolValue(value=False),
        by_can_reattest=BoolValue(value=True),
        by_selector_match=selector_pb2.SelectorMatch(
            selectors=SELECTORS, match=selector_pb2.SelectorMatch.MATCH_SUBSET
        ),
    )
    assert about("agent.v1.Agent/ListAgents", agent_pb2.ListAgentsRequest(filter=where)) == {
        "node_attestor_type": "x509pop", "by_banned": False, "by_can_reattest": True,
        "by_selector_match": "MATCH_SUBSET", "by_selectors": "unix:uid:1,k8s:ns:a",
    }  # fmt: skip
    assert about("agent.v1.Agent/CountAgents", agent_pb2.CountAgentsRequest()) == {}


def test_attestation_tells_the_agent() -> None:
    result = agent_pb2.AttestAgentResponse.Result(svid=x509svid_pb2.X509SVID(id=AGENT))
    answer = agent_pb2.AttestAgentResponse(result=result)
    assert about("agent.v1.Agent/AttestAgent", None, answer) == {"agent_id": ONE}
    assert about("agent.v1.Agent/AttestAgent", None) == {}


def test_tokens_are_for_how_long_and_for_whom() -> None:
    request = agent_pb2.CreateJoinTokenRequest(ttl=60, token=SECRET, agent_id=AGENT)
    assert about("agent.v1.Agent/CreateJoinToken", request) == {"ttl": 60, "spiffe_id": ONE}


def test_renewal_is_the_request() -> None:
    params = agent_pb2.AgentX509SVIDParams(csr=b"csr")
    assert about("agent.v1.Agent/RenewAgent", agent_pb2.RenewAgentRequest(params=params)) == {"csr": sha256(b"csr")}


def test_by_what_entries_are_looked_for() -> None:
    where = entry_pb2.ListEntriesRequest.Filter(
        by_spiffe_id=AGENT,
        by_parent_id=AGENT,
        by_hint=StringValue(value="h"),
        by_downstream=BoolValue(value=True),
        by_selectors=selector_pb2.SelectorMatch(selectors=SELECTORS[:1]),
        by_federates_with=federateswith_pb2.FederatesWithMatch(
            trust_domains=["a.test", "b.test"], match=federateswith_pb2.FederatesWithMatch.MATCH_ANY
        ),
    )
    assert about("entry.v1.Entry/ListEntries", entry_pb2.ListEntriesRequest(filter=where)) == {
        "spiffe_id": ONE, "parent_id": ONE, "hint": "h", "downstream": True,
        "by_selector_match": "MATCH_EXACT", "by_selectors": "unix:uid:1",
        "federates_with_match": "MATCH_ANY", "federates_with": "a.test,b.test",
    }  # fmt: skip


def test_bundles_are_their_authorities_by_digest() -> None:
    bundle = bundle_types.Bundle(
        trust_domain="a.test", refresh_hint=5, sequence_number=7,
        x509_authorities=[bundle_types.X509Certificate(asn1=b"der")],
        jwt_authorities=[bundle_types.JWTKey(key_id="k", expires_at=9, public_key=b"pkix")],
    )  # fmt: skip
    authorities = {
        "x509_authorities_asn1_sha256.0": sha256(b"der"), "jwt_authority_expires_at.0": 9,
        "jwt_authority_key_id.0": "k", "jwt_authority_public_key_sha256.0": sha256(b"pkix"),
    }  # fmt: skip
    set_ = bundle_pb2.BatchSetFederatedBundleRequest(bundle=[bundle])
    result = bundle_pb2.BatchSetFederatedBundleResponse.Result
    answer = bundle_pb2.BatchSetFederatedBundleResponse(results=[result(status=BAD)])
    assert items("bundle.v1.Bundle/BatchSetFederatedBundle", set_, answer) == [
        ({"trust_domain_id": "a.test", "refresh_hint": 5, "sequence_number": 7, **authorities}, 3)
    ]
    update = bundle_pb2.BatchUpdateFederatedBundleRequest(
        bundle=[bundle], input_mask=bundle_types.BundleMask(refresh_hint=True)
    )
    updated = bundle_pb2.BatchUpdateFederatedBundleResponse.Result(status=OK)
    answer_ = bundle_pb2.BatchUpdateFederatedBundleResponse(results=[updated])
    assert items("bundle.v1.Bundle/BatchUpdateFederatedBundle", update, answer_) == [
        ({"trust_domain_id": "a.test", "refresh_hint": 5}, 0)
    ]
    append = bundle_pb2.AppendBundleRequest(
        x509_authorities=bundle.x509_authorities, jwt_authorities=bundle.jwt_authorities
    )
    assert about("bundle.v1.Bundle/AppendBundle", append) == authorities


def test_deleted_bundles_say_what_becomes_of_entries() -> None:
    request = bundle_pb2.BatchDeleteFederatedBundleRequest(
        trust_domains=["a.test"], mode=bundle_pb2.BatchDeleteFederatedBundleRequest.DISSOCIATE
    )
    result = bundle_pb2.BatchDeleteFederatedBundleResponse.Result(status=OK, trust_domain="a.test")
    answer = bundle_pb2.BatchDeleteFederatedBundleResponse(results=[result])
    assert items("bundle.v1.Bundle/BatchDeleteFederatedBundle", request, answer) == [
        ({"trust_domain_id": "a.test", "mode": "DISSOCIATE"}, 0)
    ]


def test_what_was_minted() -> None:
    der = csr.create(keys.generate(KeyType.EC_P256))
    request = svid_pb2.MintX509SVIDRequest(csr=der, ttl=60)
    asked = {"csr": sha256(der), "ttl": 60}
    assert about("svid.v1.SVID/MintX509SVID", request) == asked
    svid = x509svid_pb2.X509SVID(id=AGENT, expires_at=1767322800)
    assert about("svid.v1.SVID/MintX509SVID", request, svid_pb2.MintX509SVIDResponse(svid=svid)) == {
        **asked, "spiffe_id": ONE, "dns_name": "", "subject": "", "expires_at": "2026-01-02T03:00:00Z",
    }  # fmt: skip
    jwt = svid_pb2.MintJWTSVIDRequest(id=AGENT, audience=["a", "b"], ttl=5)
    minted = svid_pb2.MintJWTSVIDResponse(svid=jwtsvid_pb2.JWTSVID(token=SECRET, id=AGENT))
    assert about("svid.v1.SVID/MintJWTSVID", jwt, minted) == {"spiffe_id": ONE, "audience": "a,b", "ttl": 5}


def test_what_agents_fetched() -> None:
    params = [svid_pb2.NewX509SVIDParams(entry_id="e-1", csr=b"1"), svid_pb2.NewX509SVIDParams(entry_id="e-2")]
    svid = x509svid_pb2.X509SVID(id=AGENT, expires_at=9)
    result = svid_pb2.BatchNewX509SVIDResponse.Result
    answer = svid_pb2.BatchNewX509SVIDResponse(results=[result(svid=svid, status=OK), result(status=BAD)])
    assert items("svid.v1.SVID/BatchNewX509SVID", svid_pb2.BatchNewX509SVIDRequest(params=params), answer) == [
        ({"csr": sha256(b"1"), "entry_id": "e-1", "spiffe_id": ONE, "expires_at": 9}, 0),
        ({"csr": "", "entry_id": "e-2", "spiffe_id": ""}, 3),
    ]
    wits = svid_pb2.BatchNewWITSVIDRequest(
        params=[svid_pb2.NewWITSVIDParams(entry_id="e-1"), svid_pb2.NewWITSVIDParams(entry_id="e-2")]
    )
    wit = svid_pb2.BatchNewWITSVIDResponse.Result
    token = witsvid_pb2.WITSVID(token=SECRET, id=AGENT, expires_at=9)
    issued_wits = svid_pb2.BatchNewWITSVIDResponse(results=[wit(svid=token, status=OK), wit(status=BAD)])
    assert items("svid.v1.SVID/BatchNewWITSVID", wits, issued_wits) == [
        ({"entry_id": "e-1", "spiffe_id": ONE, "expires_at": 9}, 0),
        ({"entry_id": "e-2", "spiffe_id": ""}, 3),
    ]
    request = svid_pb2.NewJWTSVIDRequest(entry_id="e-1", audience=["a"])
    issued = svid_pb2.NewJWTSVIDResponse(svid=jwtsvid_pb2.JWTSVID(token=SECRET, id=AGENT))
    assert about("svid.v1.SVID/NewJWTSVID", request, issued) == {
        "entry_id": "e-1", "audience": "a", "spiffe_id": ONE,
    }  # fmt: skip


def test_a_task_that_is_explained_is_named() -> None:
    asked = replay_pb2.ExplainTaskRequest(task_id="tsk_1")
    assert ABOUT["/assay.ledger.v1.Replays/Explain"](asked, None) == {"task_id": "tsk_1"}


def test_versions_of_the_policy_are_named_and_their_texts_are_not() -> None:
    bundle = policy_pb2.Bundle(version=3, digest="sha-256:d", files={"a.cedar": SECRET})
    named = {"policy_version": 3, "policy_digest": "sha-256:d"}
    api = "/assay.policy.v1.Policies/"
    push = policy_pb2.PushRequest(files={"a.cedar": SECRET}, tests=SECRET)
    assert ABOUT[f"{api}Push"](push, policy_pb2.PushResponse(bundle=bundle)) == named
    assert ABOUT[f"{api}Push"](push, None) == {}
    back = policy_pb2.RollbackRequest(version=3)
    assert ABOUT[f"{api}Rollback"](back, policy_pb2.RollbackResponse(bundle=bundle)) == named
    assert ABOUT[f"{api}Rollback"](back, None) == {"policy_version": 3}
    asked = policy_pb2.ExplainRequest(decision_id="dec_1")
    assert ABOUT[f"{api}Explain"](asked, None) == {"decision_id": "dec_1"}


def test_whose_records_of_the_ledger_were_read_and_which_were_pruned() -> None:
    api = "/assay.ledger.v1.Ledger/"
    asked = ledger_pb2.Filter(task_id="tsk_1", since=9)
    assert ABOUT[f"{api}Export"](ledger_pb2.ExportRequest(filter=asked), None) == {"task_id": "tsk_1", "since": 9}
    assert ABOUT[f"{api}List"](ledger_pb2.ListRequest(), None) == {}
    prune = ledger_pb2.PruneRequest(before=9)
    assert ABOUT[f"{api}Prune"](prune, None) == {"before": 9}
    gone = ledger_pb2.PruneResponse(through=7, records=6)
    assert ABOUT[f"{api}Prune"](prune, gone) == {"before": 9, "through": 7, "records": 6}


def test_instances_are_named_and_their_tasks() -> None:
    service = "/assay.instance.v1.Instances/"
    svid = x509svid_pb2.X509SVID(id=SPIFFEID(trust_domain="example.org", path="/principal/bot/a"), expires_at=9)
    result = instance_pb2.BatchNewX509SVIDResponse.Result
    params = [instance_pb2.NewX509SVIDParams(entry_id=one, instance="v", csr=b"csr") for one in ("bots", "gone")]
    request = instance_pb2.BatchNewX509SVIDRequest(params=params)
    response = instance_pb2.BatchNewX509SVIDResponse(results=[result(status=OK, svid=svid), result(status=BAD)])
    done, refused = ITEMS[f"{service}BatchNewX509SVID"](request, response)
    who = "spiffe://example.org/principal/bot/a"
    common = {"csr": sha256(b"csr"), "instance": "v"}
    assert dict(done[0]) == {**common, "entry_id": "bots", "spiffe_id": who, "expires_at": 9}
    assert (dict(refused[0]), refused[1].code) == ({**common, "entry_id": "gone", "spiffe_id": ""}, 3)
    asked = instance_pb2.NewJWTSVIDRequest(entry_id="bots", instance="v", audience=["a"])
    token = jwtsvid_pb2.JWTSVID(id=svid.id, token=SECRET)
    fields = ABOUT[f"{service}NewJWTSVID"](asked, instance_pb2.NewJWTSVIDResponse(svid=token, task_id="tsk_1"))
    assert dict(fields) == {
        "entry_id": "bots", "instance": "v", "audience": "a", "spiffe_id": who, "task_id": "tsk_1",
    }  # fmt: skip
    assert dict(ABOUT[f"{service}NewJWTSVID"](asked, None))["task_id"] == ""
