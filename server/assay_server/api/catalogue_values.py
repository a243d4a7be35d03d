"""The catalogue's things as messages of assay.governance.v1.

An update names its `fields`: what is not among them need not be said, and is not read.
"""

from collections.abc import Collection
from enum import Enum
from typing import TypeVar

from assay_proto.governance.v1 import registration_pb2 as pb
from assay_server.api.words import word
from assay_server.model.governed.catalogue import ActionClass, Grant, Holder, Resource, Risk, Sensitivity, Tool

E = TypeVar("E", bound=Enum)


def resource_from_proto(message: pb.Resource, fields: Collection[str] | None = None) -> Resource:
    """The resource, or those of its fields.

    Raises:
        InvalidArgumentError: a word is missing or not known.
    """
    return Resource(
        uri=message.uri,
        environment=message.environment,
        tenant=message.tenant,
        sensitivity=_said(Sensitivity, message.sensitivity, "sensitivity", fields),
        data_classes=tuple(message.data_classes),
        verifiers=tuple(message.verifiers),
    )


def resource_to_proto(resource: Resource) -> pb.Resource:
    """The message."""
    return pb.Resource(
        uri=resource.uri,
        environment=resource.environment,
        tenant=resource.tenant,
        sensitivity=resource.sensitivity.value,
        data_classes=resource.data_classes,
        verifiers=resource.verifiers,
    )


def tool_from_proto(message: pb.Tool, fields: Collection[str] | None = None) -> Tool:
    """The tool, or those of its fields.

    Raises:
        InvalidArgumentError: a word is missing or not known.
    """
    return Tool(
        name=message.name,
        resource=message.resource,
        action_class=_said(ActionClass, message.action_class, "action_class", fields),
        risk=_said(Risk, message.risk, "risk", fields),
        exports=message.exports,
    )


def tool_to_proto(tool: Tool) -> pb.Tool:
    """The message."""
    return pb.Tool(
        name=tool.name,
        resource=tool.resource,
        action_class=tool.action_class.value,
        risk=tool.risk.value,
        exports=tool.exports,
    )


def grant_from_proto(message: pb.Grant, fields: Collection[str] | None = None) -> Grant:
    """The grant, or those of its fields.

    Raises:
        InvalidArgumentError: a word is missing or not known.
    """
    return Grant(
        name=message.name,
        holder=_said(Holder, message.holder, "holder", fields),
        administers=message.administers,
    )


def grant_to_proto(grant: Grant) -> pb.Grant:
    """The message."""
    return pb.Grant(name=grant.name, holder=grant.holder.value, administers=grant.administers)


def _said(kind: type[E], text: str, field: str, fields: Collection[str] | None) -> E:
    if fields is not None and field not in fields:
        return next(iter(kind))  # of no account
    return word(kind, text, field.replace("_", " "))
