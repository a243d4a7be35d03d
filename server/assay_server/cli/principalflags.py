"""The flags of `assay principal`: what a principal is, and which principals."""

from dataclasses import dataclass
from typing import Annotated, TypeAlias

import typer

from assay.cli.options import duration
from assay.cli.taking import Flags
from assay_proto.governance.v1 import registration_pb2 as pb
from assay_server.cli.governed import listed

ListOption: TypeAlias = list[str] | None

CLEARABLE = ("data_classes", "risk_class", "model", "tools", "grants", "approvals", "heartbeat", "triggers")
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True, kw_only=True)
class PrincipalFlags(Flags):
    """What a principal is, for `register` and `update` alike; None is not said."""

    owner: Annotated[str | None, typer.Option(help="Who answers for it: person:NAME or team:NAME.")] = None
    purpose: Annotated[str | None, typer.Option(help="What it is for, in a line.", metavar="TEXT")] = None
    environment: Annotated[
        str | None, typer.Option("--env", "--environment", help="Where it works, such as prod.", metavar="NAME")
    ] = None
    tenant: Annotated[str | None, typer.Option(help="Whose data it works on.", metavar="NAME")] = None
    data_class: Annotated[
        ListOption, typer.Option("--data-class", help="Data it may see; more than once.", metavar="NAME")
    ] = None
    risk_class: Annotated[str | None, typer.Option("--risk-class", help="low, medium or high.", metavar="CLASS")] = None
    model: Annotated[str | None, typer.Option(help="An agent's model.", metavar="NAME")] = None
    tool: Annotated[
        ListOption, typer.Option(help="A tool of the catalogue that its tasks may use; more than once.", metavar="NAME")
    ] = None
    grant: Annotated[
        ListOption, typer.Option(help="A grant of the catalogue that it holds; more than once.", metavar="NAME")
    ] = None
    approval: Annotated[
        ListOption,
        typer.Option(help="A class of actions that need a human's approval; more than once.", metavar="CLASS"),
    ] = None
    no_approvals: Annotated[
        bool, typer.Option("--no-approvals", help="No action needs one by itself; what policy asks for, it does.")
    ] = False
    heartbeat: Annotated[
        str | None,
        typer.Option(help="Its tasks must be heard of at least so often; 0 for never.", metavar="DURATION"),
    ] = None
    trigger: Annotated[
        ListOption,
        typer.Option(
            help="What ends its tasks before their time, such as task_completed or owner_left; more than once.",
            metavar="TRIGGER",
        ),
    ] = None
    id_template: Annotated[
        str | None,
        typer.Option(
            "--id-template", help="Path of its SPIFFE IDs, such as /principal/{name}/{instance}.", metavar="PATH"
        ),
    ] = None

    def principal(self, name: str) -> pb.Principal:
        """The message.

        Raises:
            typer.BadParameter: flags contradict each other, or the heartbeat is no duration.
        """
        if self.no_approvals and self.approval:
            raise typer.BadParameter("goes with no --approval", param_hint="--no-approvals")
        made = pb.Principal(
            name=name,
            owner=self.owner or "",
            purpose=self.purpose or "",
            environment=self.environment or "",
            tenant=self.tenant or "",
            data_classes=listed(self.data_class),
            risk_class=self.risk_class or "",
            model=self.model or "",
            tools=listed(self.tool),
            grants=listed(self.grant),
            triggers=listed(self.trigger),
            id_template=self.id_template or "",
        )
        if self.heartbeat is not None:
            made.heartbeat = seconds(self.heartbeat, "--heartbeat")
        if self.no_approvals or self.approval is not None:
            made.approvals.action_classes.extend(listed(self.approval))
            made.approvals.SetInParent()
        return made

    def fields(self) -> list[str]:
        """The fields that were said."""
        said = {
            "owner": self.owner,
            "purpose": self.purpose,
            "environment": self.environment,
            "tenant": self.tenant,
            "data_classes": self.data_class,
            "risk_class": self.risk_class,
            "model": self.model,
            "tools": self.tool,
            "grants": self.grant,
            "approvals": [] if self.no_approvals else self.approval,
            "heartbeat": self.heartbeat,
            "triggers": self.trigger,
            "id_template": self.id_template,
        }
        return [name for name, value in said.items() if value is not None]


@dataclass(frozen=True, kw_only=True)
class WantedFlags(Flags):
    """Which principals, for `list`."""

    owner: Annotated[str, typer.Option(help="Only this owner's.", metavar="OWNER")] = ""
    tenant: Annotated[str, typer.Option(help="Only this tenant's.", metavar="NAME")] = ""
    state: Annotated[str, typer.Option(help="Only staged, active, suspended or retired ones.", metavar="STATE")] = ""
    actor_type: Annotated[
        str, typer.Option("--actor-type", help="Only human, service, machine or ai_agent.", metavar="TYPE")
    ] = ""
    unused: Annotated[
        str, typer.Option(help="Only those that nobody used for so long, such as 30d.", metavar="DURATION")
    ] = ""
    orphaned: Annotated[bool, typer.Option("--orphaned", help="Only those without a live owner.")] = False

    def request(self, page_size: int, page_token: str) -> pb.ListPrincipalsRequest:
        """The request for a page of them.

        Raises:
            typer.BadParameter: a duration is none.
        """
        return pb.ListPrincipalsRequest(
            owner=self.owner,
            tenant=self.tenant,
            state=self.state,
            actor_type=self.actor_type,
            unused=seconds(self.unused, "--unused") if self.unused else 0,
            orphaned=self.orphaned,
            page_size=page_size,
            page_token=page_token,
        )


def cleared(names: ListOption) -> list[str]:
    """The fields that are to be emptied, by their flags' names or their own.

    Raises:
        typer.BadParameter: one cannot be.
    """
    fields = [_FIELDS.get(name, name) for name in (one.removeprefix("--").replace("-", "_") for one in listed(names))]
    for field in fields:
        if field not in CLEARABLE:
            raise typer.BadParameter(f"there are: {', '.join(CLEARABLE)}", param_hint="--clear")
    return fields


def seconds(text: str, flag: str) -> int:
    """A duration's seconds; days are such as 30d, a bare number is seconds.

    Raises:
        typer.BadParameter: it is none.
    """
    days = text.removesuffix("d")
    if days != text and days.isascii() and days.isdigit():
        return int(days) * _SECONDS_A_DAY
    return int(duration(f"{text}s" if text.isascii() and text.isdigit() else text, flag))


_FIELDS = {
    "data_class": "data_classes", "tool": "tools", "grant": "grants", "approval": "approvals", "trigger": "triggers",
}  # fmt: skip
