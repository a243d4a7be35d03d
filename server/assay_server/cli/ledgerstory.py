"""A task's story for people, and as JSON."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import typer

from assay.cli.options import Output
from assay.cli.output import count_of, printable
from assay.cli.tasks import plain, print_task
from assay_proto.ledger.v1 import replay_pb2 as pb
from assay_proto.policy.v1 import policy_pb2

Details = Mapping[str, Any]

_WIDTH = 20


def faults(story: pb.ExplainTaskResponse) -> list[str]:
    """What is wrong with the decisions, each in a sentence; nothing if all are as they were."""
    found = [one for step in story.steps if step.HasField("replay") and not step.replay.same for one in _faults(step)]
    return found + [f"{one}: no event tells of it" for one in story.untold_decisions]


def as_json(story: pb.ExplainTaskResponse) -> dict[str, Any]:
    """The whole story."""
    return {
        "task": plain(story.task) if story.HasField("task") else None,
        "same": not faults(story),
        "faults": faults(story),
        "decisions": sum(step.HasField("replay") for step in story.steps),
        "steps": [_step(step) for step in story.steps],
    }


def print_story(story: pb.ExplainTaskResponse) -> None:
    """The task, what happened in the order in which it was written down, and whether the decisions replay."""
    if story.HasField("task"):
        print_task(story.task, Output.PRETTY)
    elif any(step.type == "task.opened" for step in story.steps):
        typer.echo("The task is forgotten: it ended long ago. This is what was written down of it.")
    else:
        typer.echo("It was never opened: policy refused.")
    typer.echo("")
    for step in story.steps:
        details: Details = json.loads(step.details)
        for number, line in enumerate(_lines(step, details)):
            begin = f"{_time(step.at)}  {step.type:<{_WIDTH}}" if not number else " " * (21 + _WIDTH)
            typer.echo(f"{begin} {printable(line)}")
    decisions = [step for step in story.steps if step.HasField("replay")]
    if decisions and not faults(story):
        whole = count_of(len(decisions), "decision was", "decisions were")
        typer.echo(f"\n{whole} decided again by the policy and of the inputs of then: the same answer.")


def _lines(step: pb.Step, details: Details) -> Iterator[str]:
    if step.HasField("replay"):
        yield from _decision(step, details)
        return
    yield _SAID.get(step.type, _plainly)(details)
    yield f"by {step.actor}" + (f", about {step.subject}" if step.type in _ABOUT else "")


def _decision(step: pb.Step, details: Details) -> Iterator[str]:
    replay = step.replay
    about = " ".join(one for one in (details.get("point", ""), details.get("tool", "")) if one)
    answer = _answer(replay.recorded) if replay.HasField("recorded") else details.get("effect", "")
    by = f" by {', '.join(details.get('policies', ()))}" if details.get("policies") else ""
    again = "replayed: same answer" if replay.same else "NOT THE SAME"
    yield f"{about}: {answer}{by}, policy v{details.get('policy_version', '?')}; {again}"
    if details.get("effect") != "allow":
        yield str(details.get("reason", ""))
    yield f"{step.subject}, for {step.actor}"
    if not replay.same:
        yield from _faults(step)


def _faults(step: pb.Step) -> Iterator[str]:
    replay, name = step.replay, step.subject
    if replay.why_not:
        yield f"{name} cannot be decided again: {replay.why_not}"
    for one in replay.differences:
        if one.altered:
            yield f"{name} was altered: its record has {one.field} {one.found!r}, the event {one.recorded!r}"
        else:
            yield f"{name} is ANOTHER ANSWER: {one.field} was {one.recorded!r} and is {one.found!r} now"
    if not replay.why_not and not replay.differences:
        yield f"{name} is not the same"


def _step(step: pb.Step) -> dict[str, Any]:
    told: dict[str, Any] = {name: getattr(step, name) for name in _PLAIN}
    told["details"] = json.loads(step.details)
    if step.HasField("replay"):
        replay = step.replay
        told["replay"] = {
            "same": replay.same,
            "recorded": plain(replay.recorded) if replay.HasField("recorded") else None,
            "replayed": plain(replay.replayed) if replay.HasField("replayed") else None,
            "differences": [plain(one) for one in replay.differences],
            "why_not": replay.why_not,
        }
    return told


def _answer(decision: policy_pb2.Decision) -> str:
    return f"allow {decision.ttl} s" if decision.effect == "allow" else decision.effect.replace("_", " ")


def _opened(details: Details) -> str:
    subject = f" on behalf of {details['subject']}" if details.get("subject") else ""
    parent = f" below {details['parent']}" if details.get("parent") else ""
    return f"by {details.get('trigger', '')}{subject}{parent}, until {_time(details.get('ends_at', 0))}"


def _changed(details: Details) -> str:
    match details.get("change"):
        case "called":
            return f"called {details.get('action', '')}"
        case "failed":
            return f"failed or refused: {details.get('action', '')}"
        case "narrowed":
            return f"narrowed to {details.get('authority_hash', '')}, until {_time(details.get('ends_at', 0))}"
        case "budget_exceeded":
            return f"budget used up: {details.get('bound', '')}, at {details.get('action', '')}"
        case _:
            return _plainly(details)


def _ended(details: Details) -> str:
    tokens = count_of(int(details.get("credentials", 0)), "token", "tokens")
    return f"{details.get('state', '')}: {details.get('cause', '')}; {tokens} revoked"


def _issued(details: Details) -> str:
    return f"{details.get('kind', '')} for {details.get('audience', '')}, until {_time(details.get('expires_at', 0))}"


def _revoked(details: Details) -> str:
    tokens = ", ".join(details.get("credentials", ()))
    return f"{details.get('cause', '')}{f': {tokens}' if tokens else ''}"


def _used(details: Details) -> str:
    why = f" ({details['reason']})" if details.get("reason") else ""
    data = f", data {details['data_class']}" if details.get("data_class") else ""
    parameters = f", parameters {details['parameters_digest']}" if details.get("parameters_digest") else ""
    trace = f", trace {details['trace_id']}" if details.get("trace_id") else ""
    action = f"{details.get('action', '')} on {details.get('resource', '') or details.get('audience', '')}"
    return f"{details.get('outcome', '')}{why}: {action}{data}{parameters}{trace}"


def _elevated(details: Details) -> str:
    if "outcome" in details:
        return _used(details)
    return f"{details.get('point', '')}: {', '.join(details.get('actions', ()))}"


def _delegated(details: Details) -> str:
    return f"from {details.get('from', '')} to {details.get('to', '')}, {details.get('authority_hash', '')}"


def _plainly(details: Details) -> str:
    return ", ".join(f"{name} {value}" for name, value in details.items() if value not in ("", 0, [], None))


_PLAIN = ("type", "at", "actor", "subject", "principal", "actor_type")
_ABOUT = frozenset({"identity.issued", "revocation", "tool.use", "data.access", "privilege.elevation", "exception"})
_SAID: Mapping[str, Callable[[Details], str]] = MappingProxyType(
    {
        "task.opened": _opened,
        "task.changed": _changed,
        "task.ended": _ended,
        "identity.issued": _issued,
        "revocation": _revoked,
        "tool.use": _used,
        "data.access": _used,
        "privilege.elevation": _elevated,
        "delegation": _delegated,
    }
)


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
