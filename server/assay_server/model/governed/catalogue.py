"""What may be acted on: resources, the tools that act on them, and the grants that humans and machines hold."""

from dataclasses import dataclass
from enum import Enum

from assay_server.model.governed.noun import Noun


class ActionClass(Enum):
    """What an action can do at worst (the mission drafts' runtime profile), from harmless to grave."""

    NON_CONSEQUENTIAL = "non_consequential"
    CONSEQUENTIAL_READ = "consequential_read"
    CONSEQUENTIAL_WRITE = "consequential_write"
    IRREVERSIBLE = "irreversible"
    EXTERNAL_COMMITMENT = "external_commitment"
    PRIVILEGED_ADMINISTRATION = "privileged_administration"


class Risk(Enum):
    """How much harm can come of it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Sensitivity(Enum):
    """How far a resource's data may go."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"


@dataclass(frozen=True, slots=True)
class Resource:
    """A system or data set by its URI, which is the audience of the tokens for it. An empty tenant is everybody's.

    `verifiers` are the SPIFFE IDs of the workloads that guard it: they may ask for decisions about tokens for it.
    """

    uri: str
    environment: str
    tenant: str
    sensitivity: Sensitivity
    data_classes: tuple[str, ...] = ()
    verifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """An action on a resource, such as `crm.refund`."""

    name: str
    resource: str
    action_class: ActionClass
    risk: Risk
    exports: bool = False  # takes data out of the tenant's systems


class Holder(Enum):
    """Whom a grant is for: the two kinds are never mixed."""

    HUMAN = "human"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class Grant:
    """A named privilege; `administers` marks those of administrators."""

    name: str
    holder: Holder
    administers: bool = False


RESOURCE = Noun(
    "resource", Resource, key=lambda one: one.uri, terms=lambda one: [("tenant", one.tenant), ("env", one.environment)]
)
TOOL = Noun("tool", Tool, key=lambda one: one.name, terms=lambda one: [("resource", one.resource)])
GRANT = Noun("grant", Grant, key=lambda one: one.name, terms=lambda one: [("holder", one.holder.value)])
