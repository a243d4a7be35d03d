"""A task's story, as a person reads it: each type of event in a line of its own words, and what is wrong, loudly."""

import json
from typing import Any

import pytest

from assay_proto.ledger.v1 import replay_pb2 as pb
from assay_proto.policy.v1 import policy_pb2
from assay_server.cli.ledgerstory import as_json, faults, print_story

ALLOW = policy_pb2.Decision(id="dec_1", effect="allow", ttl=300, policies=["p"], policy_version=7)
DECIDED = {"point": "tool:call", "tool": "crm.read", "effect": "allow", "policies": ["p"], "policy_version": 7}


def step(kind: str, details: dict[str, Any], replay: pb.Replay | None = None, **more: Any) -> pb.Step:  # noqa: ANN401 - fields of Step
    made: dict[str, Any] = {"at": 1_767_225_600, "actor": "local:0", "subject": "tsk_1", **more}
    return pb.Step(type=kind, details=json.dumps(details), replay=replay, **made)


def story(*steps: pb.Step, untold: tuple[str, ...] = ()) -> pb.ExplainTaskResponse:
    return pb.ExplainTaskResponse(steps=steps, untold_decisions=untold)


@pytest.mark.parametrize(
    ("kind", "details", "line"),
    [
        (
            "task.opened",
            {"trigger": "event:queue/42", "subject": "alice@corp", "parent": "tsk_0", "ends_at": 1_767_229_200},
            "by event:queue/42 on behalf of alice@corp below tsk_0, until 2026-01-01 01:00:00",
        ),
        ("task.changed", {"change": "called", "action": "crm.read"}, "called crm.read"),
        ("task.changed", {"change": "failed", "action": "crm.read"}, "failed or refused: crm.read"),
        (
            "task.changed",
            {"change": "narrowed", "authority_hash": "sha-256:a", "ends_at": 1_767_225_660},
            "narrowed to sha-256:a, until 2026-01-01 00:01:00",
        ),
        (
            "task.changed",
            {"change": "budget_exceeded", "action": "crm.read", "bound": "calls"},
            "budget used up: calls, at crm.read",
        ),
        ("task.changed", {"change": "heartbeat"}, "change heartbeat"),
        ("task.ended", {"state": "revoked", "cause": "left", "credentials": 2}, "revoked: left; 2 tokens revoked"),
        (
            "identity.issued",
            {"kind": "at+jwt", "audience": "https://crm", "expires_at": 1_767_225_660},
            "at+jwt for https://crm, until 2026-01-01 00:01:00",
        ),
        ("revocation", {"cause": "task_narrowed", "credentials": ["a", "b"]}, "task_narrowed: a, b"),
        ("revocation", {"cause": "asked"}, "asked"),
        (
            "tool.use",
            {"outcome": "refused", "reason": "revoked", "action": "crm.read", "audience": "https://crm"},
            "refused (revoked): crm.read on https://crm",
        ),
        (
            "data.access",
            {
                "outcome": "allowed", "action": "crm.read", "resource": "https://crm", "data_class": "tickets",
                "parameters_digest": "sha-256:p", "trace_id": "0af7",
            },
            "allowed: crm.read on https://crm, data tickets, parameters sha-256:p, trace 0af7",
        ),
        ("privilege.elevation", {"point": "task:open", "actions": ["a", "b"]}, "task:open: a, b"),
        (
            "privilege.elevation",
            {"outcome": "allowed", "action": "crm.admin", "resource": "https://crm"},
            "allowed: crm.admin on https://crm",
        ),
        (
            "delegation",
            {"from": "alice@corp", "to": "spiffe://a/b", "authority_hash": "sha-256:a"},
            "from alice@corp to spiffe://a/b, sha-256:a",
        ),
        ("exception", {"cause": "report_gap", "from": 2, "to": 4, "reason": ""}, "cause report_gap, from 2, to 4"),
        ("of.tomorrow", {"what": "\x1b[2J"}, "what \\x1b[2J"),
    ],
)  # fmt: skip
def test_each_type_of_event_is_told_in_its_words(
    kind: str, details: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_story(story(step(kind, details)))
    out = capsys.readouterr().out
    first, second = out.splitlines()[-2:]
    assert first.startswith(f"2026-01-01 00:00:00  {kind}")
    assert first.endswith(f" {line}")
    assert second.strip().startswith("by local:0")


def test_the_same_answers_are_said_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    told = story(step("decision", DECIDED, pb.Replay(recorded=ALLOW, replayed=ALLOW, same=True), subject="dec_1"))
    assert faults(told) == []
    print_story(told)
    out = capsys.readouterr().out
    assert "tool:call crm.read: allow 300 s by p, policy v7; replayed: same answer" in out
    assert out.endswith("1 decision was decided again by the policy and of the inputs of then: the same answer.\n")
    assert as_json(told)["steps"][0]["replay"]["replayed"]["ttl"] == 300


@pytest.mark.parametrize(
    ("replay", "said"),
    [
        (
            pb.Replay(recorded=ALLOW, differences=[pb.Difference(field="ttl", recorded="9", found="300")]),
            "dec_1 is ANOTHER ANSWER: ttl was '9' and is '300' now",
        ),
        (
            pb.Replay(
                recorded=ALLOW, differences=[pb.Difference(field="ttl", recorded="300", found="9", altered=True)]
            ),
            "dec_1 was altered: its record has ttl '9', the event '300'",
        ),
        (pb.Replay(why_not="the record of it is gone"), "dec_1 cannot be decided again: the record of it is gone"),
        # Whatever the reason: what is not the same is never passed over.
        (pb.Replay(recorded=ALLOW, replayed=ALLOW), "dec_1 is not the same"),
    ],
)
def test_what_is_not_the_same_is_said_with_the_field(
    replay: pb.Replay, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = story(step("decision", DECIDED, replay, subject="dec_1"))
    assert faults(told) == [said]
    assert as_json(told)["same"] is False
    print_story(told)
    out = capsys.readouterr().out
    assert "NOT THE SAME" in out
    assert said in out
    assert "the same answer." not in out


def test_a_task_that_is_not_there_was_refused_or_is_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    print_story(story(step("decision", DECIDED, pb.Replay(recorded=ALLOW, same=True))))
    assert capsys.readouterr().out.startswith("It was never opened")
    print_story(story(step("task.opened", {"trigger": "x"})))
    assert capsys.readouterr().out.startswith("The task is forgotten")


def test_a_decision_that_no_event_tells_of_is_a_fault() -> None:
    assert faults(story(untold=("dec_9",))) == ["dec_9: no event tells of it"]
