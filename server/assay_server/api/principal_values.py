"""Principals and what hangs on them as messages of assay.governance.v1."""

from collections.abc import Iterable
from dataclasses import replace

from google.protobuf.struct_pb2 import Struct

from assay.entry import Entry
from assay_proto.governance.v1 import registration_pb2 as pb
from assay_server.api.words import optional_word, word, words
from assay_server.governance.inventory import Report
from assay_server.governance.missing import Missing
from assay_server.governance.stopping import Stopped
from assay_server.model.governed.catalogue import ActionClass, Risk
from assay_server.model.governed.event import Event
from assay_server.model.governed.principal import (
    DEFAULT_ID_TEMPLATE,
    ActorType,
    Instance,
    Principal,
    Trigger,
)


def principal_from_proto(message: pb.Principal) -> Principal:
    """The principal as it was sent; what the server says of it is passed over.

    Raises:
        InvalidArgumentError: a word is not known, or its actor type is missing.
    """
    return replace(fields_from_proto(message), actor_type=word(ActorType, message.actor_type, "actor type"))


def fields_from_proto(message: pb.Principal) -> Principal:
    """The fields of an update, which has no actor type: it is never changed.

    Raises:
        InvalidArgumentError: a word is not known.
    """
    approvals = words(ActionClass, message.approvals.action_classes, "action class")
    return Principal(
        name=message.name,
        actor_type=ActorType.HUMAN,
        owner=message.owner,
        purpose=message.purpose,
        environment=message.environment,
        tenant=message.tenant,
        data_classes=tuple(message.data_classes),
        risk_class=optional_word(Risk, message.risk_class, "risk class"),
        model=message.model,
        tools=tuple(message.tools),
        grants=tuple(message.grants),
        approvals=approvals if message.HasField("approvals") else None,
        heartbeat=message.heartbeat if message.HasField("heartbeat") else None,
        triggers=words(Trigger, message.triggers, "revocation trigger"),
        id_template=message.id_template or DEFAULT_ID_TEMPLATE,
    )


def principal_to_proto(principal: Principal) -> pb.Principal:
    """The message."""
    message = pb.Principal(
        name=principal.name,
        actor_type=principal.actor_type.value,
        owner=principal.owner,
        purpose=principal.purpose,
        environment=principal.environment,
        tenant=principal.tenant,
        data_classes=principal.data_classes,
        risk_class=principal.risk_class.value if principal.risk_class else "",
        model=principal.model,
        tools=principal.tools,
        grants=principal.grants,
        heartbeat=principal.heartbeat,
        triggers=[one.value for one in principal.triggers],
        id_template=principal.id_template,
        state=principal.state.value,
        state_reason=principal.state_reason,
        created_at=principal.created_at,
        updated_at=principal.updated_at,
        revision=principal.revision,
        risk_score=principal.risk_score,
        risk_reason=principal.risk_reason,
        quarantined=principal.quarantined,
        quarantine_reason=principal.quarantine_reason,
    )
    if principal.approvals is not None:
        message.approvals.SetInParent()
        message.approvals.action_classes.extend(one.value for one in principal.approvals)
    return message


def missing_to_proto(missing: Iterable[Missing]) -> list[pb.Missing]:
    """The messages."""
    return [pb.Missing(what=one.what, flag=one.flag) for one in missing]


def stopped_to_proto(stopped: Stopped) -> pb.Stopped:
    """The message."""
    return pb.Stopped(
        principals=stopped.principals,
        tasks=stopped.tasks,
        credentials=stopped.credentials,
        bindings=stopped.bindings,
    )


def binding_to_proto(entry: Entry) -> pb.Binding:
    """The entry, as a binding."""
    return pb.Binding(
        entry_id=entry.id,
        principal=entry.principal,
        spiffe_id=str(entry.spiffe_id),
        parent_id=str(entry.parent_id),
        selectors=[str(selector) for selector in entry.selectors],
        instance_from=entry.instance_from,
        withheld=entry.withheld,
    )


def report_to_proto(report: Report, *, whole: bool) -> pb.PrincipalReport:
    """The message; the lists only if it is to be whole."""
    message = pb.PrincipalReport(
        principal=principal_to_proto(report.principal),
        owner_state=report.owner_state.value if report.owner_state else "",
        missing=missing_to_proto(report.missing),
        live_credentials=report.live_credentials,
        live_tasks=report.live_tasks,
        binding_count=len(report.bindings),
        instance_count=report.instance_count,
        last_used_at=report.last_used_at,
    )
    if whole:
        message.bindings.extend(binding_to_proto(one) for one in report.bindings)
        message.instances.extend(_instance(one) for one in report.instances)
        message.events.extend(_event(one) for one in report.events)
    return message


def _instance(instance: Instance) -> pb.Instance:
    return pb.Instance(
        spiffe_id=instance.spiffe_id,
        entry_id=instance.entry_id,
        value=instance.value,
        node=instance.node,
        first_seen=instance.first_seen,
        last_seen=instance.last_seen,
    )


def _event(event: Event) -> pb.Event:
    details = Struct()
    details.update(event.details)
    return pb.Event(
        type=event.type.value,
        at=event.at,
        actor=event.actor,
        subject=event.subject,
        task_id=event.task_id,
        details=details,
    )
