"""Tasks as flags of commands, and as commands print them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast

import typer
from google.protobuf.message import Message

from assay.cli.options import Output, duration
from assay.cli.output import go_time, print_json, printable
from assay.cli.taking import Flags
from assay.errors import InvalidArgumentError
from assay.governed.authority import DETAIL_TYPE
from assay.governed.digest import digest
from assay.workloadapi.tasks import state_name
from assay_proto.task.v1 import task_pb2 as pb

_TEXTS_OF_JSON = frozenset({"intent", "authorization_details", "constraints"})
_WIDTH = 15

TaskOption: TypeAlias = Annotated[str, typer.Option("--id", help="The task.", metavar="TASK")]
_Many = list[str] | None


@dataclass(frozen=True, kw_only=True)
class TaskFlags(Flags):
    """What a task is to be, for whoever opens it."""

    goal: Annotated[str, typer.Option(help="What it is for, in a sentence.", metavar="TEXT")] = ""
    purpose: Annotated[str, typer.Option(help="Its purpose, as policies may ask for it.", metavar="TEXT")] = ""
    intent: Annotated[
        Path | None, typer.Option(help="A mission intent as JSON, in place of --goal and --purpose.", metavar="FILE")
    ] = None
    allow: Annotated[
        _Many,
        typer.Option(
            help="Tools on a resource, such as https://crm/mcp=crm.read,crm.refund; may be given more than once.",
            metavar="RESOURCE=TOOL,...",
        ),
    ] = None
    authority: Annotated[
        Path | None, typer.Option(help="authorization_details as JSON, in place of --allow.", metavar="FILE")
    ] = None
    constraint: Annotated[
        _Many,
        typer.Option(help="Bound all of it, such as max_usd=50; the value is JSON, or text.", metavar="KEY=VALUE"),
    ] = None
    data_class: Annotated[_Many, typer.Option(help="A kind of data that it touches.", metavar="NAME")] = None
    lasting: Annotated[str, typer.Option(help="How long at most, such as 10m.", metavar="DURATION")] = ""
    calls: Annotated[int, typer.Option(help="How many calls at most; 0 for any number.", min=0)] = 0
    attempts: Annotated[
        int, typer.Option(help="How many attempts of any one tool may fail; 0 for any number.", min=0)
    ] = 0
    calls_of: Annotated[
        _Many, typer.Option(help="How many calls of one tool at most, such as crm.refund=3.", metavar="TOOL=NUMBER")
    ] = None
    heartbeat: Annotated[
        str, typer.Option(help="End it when it is silent for longer, such as 30s.", metavar="DURATION")
    ] = ""
    parent: Annotated[str, typer.Option(help="Open it below this task, within that one.", metavar="TASK")] = ""

    def request(self) -> pb.OpenRequest:
        """The message.

        Raises:
            InvalidArgumentError: something is missing, or cannot be read.
        """
        return pb.OpenRequest(
            intent=self._intent(),
            authorization_details=self._authority(),
            constraints=constraints_of(self.constraint or ()),
            data_classes=self.data_class or (),
            budget=pb.Budget(
                calls=self.calls,
                attempts=self.attempts,
                duration=seconds_of(self.lasting, "--lasting"),
                calls_by_action=_numbers(self.calls_of or (), "--calls-of"),
            ),
            heartbeat=seconds_of(self.heartbeat, "--heartbeat"),
            parent=self.parent,
        )

    def _intent(self) -> str:
        if self.intent is not None:
            return read(self.intent)
        if not self.goal:
            raise InvalidArgumentError("a task needs a goal", hint="say it with --goal, or all of it with --intent")
        return _json({"goal": self.goal} | ({"purpose": self.purpose} if self.purpose else {}))

    def _authority(self) -> str:
        if self.authority is not None:
            return read(self.authority)
        if not self.allow:
            hint = "name tools with --allow, such as https://crm/mcp=crm.read"
            raise InvalidArgumentError("a task needs something that it may do", hint=hint)
        return allowed(self.allow)


@dataclass(frozen=True, kw_only=True)
class CallFlags(Flags):
    """The call that is asked about."""

    task: Annotated[str, typer.Option("--id", help="The task that it is in.", metavar="TASK")] = ""
    jti: Annotated[str, typer.Option(help="The token that it is made with, in place of --id.", metavar="JTI")] = ""
    action: Annotated[str, typer.Option(help="The tool.", metavar="TOOL")]
    resource: Annotated[str, typer.Option(help="What it acts on, if it is to be compared.", metavar="URI")] = ""
    parameters: Annotated[
        str, typer.Option(help="Its parameters as JSON; only their digest is sent.", metavar="JSON")
    ] = ""
    call_id: Annotated[str, typer.Option(help="Names the call: asked again, it is counted once.", metavar="NAME")] = ""

    def request(self) -> pb.DecideRequest:
        """The message.

        Raises:
            InvalidArgumentError: the parameters are no JSON.
        """
        request = pb.DecideRequest(action=self.action, resource=self.resource, call_id=self.call_id)
        if self.jti:
            request.jti = self.jti
        if self.task or not self.jti:
            request.task_id = self.task
        if self.parameters:
            request.parameters_digest = _digest_of(self.parameters)
        return request


def print_decision(answer: pb.DecideResponse, output: Output) -> None:
    """The answer, and the exit that goes with it: 1 for a refusal."""
    if output is Output.JSON:
        print_json(plain(answer))
    else:
        until = f" until {go_time(answer.valid_until)}" if answer.valid_until else ""
        obligations = ", ".join(f"{name}: {value}" for name, value in sorted(answer.obligations.items()))
        rows = [
            ("Answer", f"{answer.effect}{until}"),
            ("Reason", answer.reason),
            ("Advice", answer.advice),
            ("Obligations", obligations),
            ("Decision", f"{answer.decision_id} (policy v{answer.policy_version})"),
            ("Task", answer.task_id),
        ]
        _print_rows((label, value) for label, value in rows if value)
    if answer.effect != "allow":
        raise typer.Exit(1)


def allowed(given: Iterable[str]) -> str:
    """`authorization_details` of `RESOURCE=TOOL,...` (InvalidArgumentError: one is none)."""
    accesses: list[object] = []
    for each in given:
        # A resource may have a query.
        resource, equals, actions = each.rpartition("=")
        if not equals or not resource or not actions:
            raise InvalidArgumentError(
                f'"{each}" is not RESOURCE=TOOL,...', hint="for example https://crm/mcp=crm.read"
            )
        accesses.append({"type": DETAIL_TYPE, "resource": resource, "actions": actions.split(",")})
    return _json(accesses)


def constraints_of(given: Sequence[str]) -> str:
    """Constraints as JSON; nothing of none."""
    return _json({key: _value(text) for key, text in _pairs(given, "--constraint")}) if given else ""


def seconds_of(text: str, flag: str) -> int:
    """Whole seconds of a flag's duration; 0 if it is not given."""
    return int(duration(text, flag)) if text else 0


def read(path: Path) -> str:
    """A file's text (InvalidArgumentError: it cannot be read)."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgumentError(f"cannot read {path}: {error}") from None


def plain(message: Message) -> dict[str, Any]:
    """A message as JSON has it: numbers as numbers, what is JSON already as that, states by their words."""
    return {field.name: _plain_field(message, field) for field in message.DESCRIPTOR.fields}


def print_task(task: pb.Task, output: Output, done: str = "") -> None:
    """A task for people, or as JSON."""
    if output is Output.JSON:
        print_json(plain(task))
        return
    if done:
        typer.echo(f"{done}\n")
    _print_rows(_rows(task))


def print_shown(shown: pb.ShowResponse) -> None:
    """A task with what it used, what is left, what decided and what it handed out, for people."""
    _print_rows([*_rows(shown.task), *_use(shown)])
    _print_list("Decisions", [_decision(one) for one in shown.decisions])
    _print_list("Credentials", [_credential(one) for one in shown.credentials])
    _print_list("Tasks below it", list(shown.children))


def print_line(task: pb.Task) -> None:
    """A task on one line."""
    goal = str(json.loads(task.intent).get("goal", ""))
    state = state_name(task.state)
    typer.echo(
        f"{task.id}  {state:<10} {printable(task.principal):<20} until {go_time(task.ends_at)}  {printable(goal)}"
    )


def _rows(task: pb.Task) -> list[tuple[str, str]]:
    state = state_name(task.state) + (f" ({task.state_reason})" if task.state_reason else "")
    intent = json.loads(task.intent)
    rows = [
        ("Task", task.id),
        ("State", state),
        ("Goal", str(intent.get("goal", ""))),
        ("Principal", task.principal),
        ("Instance", task.instance or "any of the principal's"),
        ("Owner", task.owner),
        ("Opened", f"{go_time(task.opened_at)} by {task.trigger}"),
        ("Ended" if task.ended_at else "Ends", go_time(task.ended_at or task.ends_at)),
        *(("May", _access(one)) for one in json.loads(task.authorization_details)),
    ]
    optional = [
        ("Constraints", task.constraints),
        ("Data classes", ", ".join(task.data_classes)),
        ("On behalf of", task.subject),
        ("Below", task.parent),
        ("Heartbeat", f"every {task.heartbeat}s, the last {go_time(task.heartbeat_at)}" if task.heartbeat else ""),
    ]
    return [*rows, *((label, value) for label, value in optional if value)]


def _use(shown: pb.ShowResponse) -> Iterable[tuple[str, str]]:
    used, left = shown.task.used, shown.left
    yield "Used", f"{used.calls} calls" + _counts(used.calls_by_action)
    if used.attempts:
        yield "Failed", _counts(used.attempts).strip(" ()")
    if left.HasField("calls"):
        yield "Calls left", str(left.calls)
    yield from (("Calls left", f"{action}: {number}") for action, number in sorted(left.calls_by_action.items()))
    yield from (("Attempts left", f"{action}: {number}") for action, number in sorted(left.attempts.items()))
    if shown.task.state == pb.TASK_STATE_ACTIVE:
        yield "Time left", f"{left.seconds}s"


def _counts(counts: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{name}: {number}' for name, number in sorted(counts.items()))})" if counts else ""


def _access(detail: Mapping[str, Any]) -> str:
    bounds = f" within {_json(detail['constraints'])}" if detail.get("constraints") else ""
    return f"{', '.join(detail['actions'])} on {detail['resource']}{bounds}"


def _decision(one: pb.Decision) -> str:
    by = f", by {', '.join(one.policies)}" if one.policies else ""
    return f"{one.id}  {go_time(one.at)}  {one.point} {one.tool}: {one.effect}{by} (policy v{one.policy_version})"


def _credential(one: pb.IssuedCredential) -> str:
    end = f"revoked {go_time(one.revoked_at)} ({one.cause})" if one.revoked_at else f"until {go_time(one.expires_at)}"
    return f"{one.jti}  {one.kind} for {one.audience} to {one.instance}, {end}"


def _print_list(title: str, lines: Sequence[str]) -> None:
    if lines:
        typer.echo(f"\n{title}:")
        for line in lines:
            typer.echo(f"  {printable(line)}")


def _print_rows(rows: Iterable[tuple[str, str]]) -> None:
    for label, value in rows:
        typer.echo(f"{label:<{_WIDTH}}: {printable(value)}")


def _plain_field(message: Message, field: Any) -> Any:  # noqa: ANN401 - a descriptor of either implementation; JSON's
    value = getattr(message, field.name)
    if isinstance(value, str | int):
        return _plain_value(message, field, value)
    if isinstance(value, Message):
        return plain(value)
    if isinstance(value, Mapping):
        return dict(sorted(cast("Mapping[str, int]", value).items()))
    return [plain(one) if isinstance(one, Message) else one for one in value]


def _plain_value(message: Message, field: Any, value: str | int) -> Any:  # noqa: ANN401 - as above
    if field.has_presence and not message.HasField(field.name):
        return None
    if field.enum_type is not None:
        return state_name(int(value))
    if field.name in _TEXTS_OF_JSON:
        return json.loads(str(value)) if value else None
    return value


def _digest_of(parameters: str) -> str:
    try:
        return digest(json.loads(parameters))
    except (ValueError, RecursionError):
        raise InvalidArgumentError("--parameters is no JSON that everybody reads alike") from None


def _pairs(given: Iterable[str], flag: str) -> Iterable[tuple[str, str]]:
    for each in given:
        key, equals, value = each.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f'"{each}" is not NAME=VALUE', param_hint=flag)
        yield key, value


def _numbers(given: Iterable[str], flag: str) -> dict[str, int]:
    pairs = list(_pairs(given, flag))
    if wrong := next((value for _, value in pairs if not value.isdecimal()), None):
        raise typer.BadParameter(f'"{wrong}" is not a number', param_hint=flag)
    return {key: int(value) for key, value in pairs}


def _value(text: str) -> object:
    try:
        value: object = json.loads(text)
    except ValueError:
        return text
    return value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
