"""How policies, decisions and what a set would change are printed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import typer

from assay.cli.options import Output
from assay.cli.output import count_of, go_time, message_dict, print_json, print_labelled, printable
from assay_proto.policy.v1 import policy_pb2 as pb
from assay_server.policy.golden import Result

_BESIDE_RULES = ("missing", "wrong", "requested_ttl", "ends_at", "may_last")
_AS_RULES_SAY: Mapping[str, str] = MappingProxyType(
    {
        "Human": "principal",
        "Workload": "principal",
        "Owner": "principal.owner",
        "Tool": "resource",
        "Task": "context.task",
    }
)


def print_results(results: Sequence[Result], output: Output) -> None:
    """Golden cases: those that came out otherwise, and how many did not."""
    good = sum(not each.wrong for each in results)
    if output is Output.JSON:
        told = [
            {
                "name": each.case.name,
                "line": each.case.line,
                "passed": not each.wrong,
                "expected": each.case.expect,
                "effect": each.decision.effect.value,
                "ttl": each.decision.ttl,
                "policies": list(each.decision.policies),
                "reason": each.decision.reason,
            }
            for each in results
        ]
        print_json({"passed": good, "failed": len(results) - good, "cases": told})
        return
    for each in results:
        if each.wrong:
            typer.echo(f"Error: tests.toml:{each.case.line}: {printable(each.wrong)}", err=True)
    typer.echo(f"{good} of {count_of(len(results), 'case', 'cases')} as expected.")


def print_bundle(bundle: pb.Bundle) -> None:
    """A version, and its files if they are there."""
    rows: list[tuple[str, object]] = [
        ("Version", f"{bundle.version}{' (shipped)' if not bundle.version else ''}"),
        ("Live", "yes" if bundle.live else "no"),
        ("Digest", bundle.digest),
        ("Schema version", bundle.schema_version),
    ]
    if bundle.version:
        rows += [("Pushed", go_time(bundle.pushed_at)), ("Pushed by", bundle.pushed_by), ("Signer", bundle.signer)]
    print_labelled(rows, 16)
    for name, text in [*sorted(bundle.files.items()), *([("tests.toml", bundle.tests)] if bundle.tests else [])]:
        typer.echo(f"==== {printable(name)}")
        for line in text.splitlines():
            typer.echo(printable(line))
        typer.echo("")


def print_bundles(bundles: Sequence[pb.Bundle], output: Output) -> None:
    """Versions, oldest first."""
    if output is Output.JSON:
        print_json({"bundles": [message_dict(each) for each in bundles]})
        return
    typer.echo(f"Found {count_of(len(bundles), 'version', 'versions')}")
    for each in bundles:
        live = " live" if each.live else ""
        typer.echo(f"{each.version:>6} {go_time(each.pushed_at)}  {printable(each.pushed_by)}  {each.digest}{live}")
    if not any(each.live for each in bundles):
        typer.echo("The shipped set, version 0, is live.")


def print_changes(answer: pb.DiffResponse) -> None:
    """Live tasks that another set would change."""
    changed = len({each.task_id for each in answer.changes})
    some = f"{changed}{' or more' if answer.more else ''}"
    typer.echo(f"{some} of {count_of(answer.tasks, 'live task', 'live tasks')} would change.")
    for each in answer.changes:
        what = f"{each.task_id}  {printable(each.principal)}  {printable(each.tool)}"
        typer.echo(f"  {what}  {_answer(each.before)} -> {_answer(each.after)}  {printable(each.after.reason)}")


def print_explained(answer: pb.ExplainResponse) -> None:
    """A decision with what it was made of."""
    decision = answer.decision
    print_labelled(
        [
            ("Decision", decision.id),
            ("At", go_time(decision.at)),
            ("Point", decision.point),
            ("Principal", decision.principal),
            ("Task", decision.task_id),
            ("Answer", _answer(decision)),
            ("Reason", decision.reason),
            ("Advice", decision.advice or "none"),
            ("Policy version", decision.policy_version),
            ("Replayed", _replayed(answer)),
            *((f"To do: {name}", value) for name, value in sorted(decision.obligations.items())),
        ],
        16,
    )
    for name, text in sorted(answer.policy_texts.items()):
        typer.echo(f"==== {printable(name)}")
        for line in text.splitlines():
            typer.echo(printable(line))
        typer.echo("")
    typer.echo("==== inputs")
    for name, value in _inputs(json.loads(answer.inputs)):
        typer.echo(f"{name:<28} {printable(json.dumps(_plain(value), ensure_ascii=False))}")


def _inputs(inputs: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """As rules name them; what was refused before any rule was asked has only the rest."""
    yield from ((name, value) for name, value in inputs.items() if name in _BESIDE_RULES)
    for entity in inputs.get("entities", ()):
        kind = entity["uid"]["type"].removeprefix("Assay::")
        for name, value in entity["attrs"].items():
            yield f"{_AS_RULES_SAY.get(kind, kind)}.{name}", value
    context = inputs.get("question", {}).get("context", {})
    yield from ((f"context.{name}", value) for name, value in context.items() if name != "task")


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Without what only Cedar needs."""
    match value:
        case {"__extn": {"arg": found}} | {"__entity": {"id": found}}:
            return found
        case list():
            return [_plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType] - JSON
        case dict():
            return {name: _plain(each) for name, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value


def _answer(decision: pb.Decision) -> str:
    return f"allow {decision.ttl} s" if decision.effect == "allow" else decision.effect


def _replayed(answer: pb.ExplainResponse) -> str:
    if not answer.HasField("replayed"):
        return f"no: {answer.why_not_replayed}"
    return "same answer" if answer.same else f"ANOTHER ANSWER: {_answer(answer.replayed)} ({answer.replayed.reason})"
