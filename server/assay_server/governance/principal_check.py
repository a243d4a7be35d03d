"""What a principal may say of itself, field by field, and what of that is there to be named."""

from assay.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from assay.spiffeid import TrustDomain
from assay_server.datastore.base import Transaction
from assay_server.governance import naming
from assay_server.governance.idtemplate import check_template
from assay_server.governance.missing import Catalogue, Missing, misplaced, missing_for
from assay_server.model.governed.catalogue import GRANT, TOOL
from assay_server.model.governed.owner import OWNER, OwnerState
from assay_server.model.governed.principal import ActorType, Principal

MAX_HEARTBEAT = 86_400
"""Seconds."""


def check_fields(principal: Principal, trust_domain: TrustDomain) -> None:
    """Check each field that is said.

    Raises:
        InvalidArgumentError: one is malformed, or no field of that actor type.
    """
    naming.check_principal_name(principal.name)
    check_template(principal, trust_domain)
    naming.check_text("purpose", principal.purpose)
    naming.check_text("model", principal.model)
    for what, word in (("environment", principal.environment), ("tenant", principal.tenant)):
        if word:
            naming.check_word(what, word)
    for what, words in (
        ("data class", principal.data_classes),
        ("tool", principal.tools),
        ("grant", principal.grants),
        ("approval condition", tuple(one.value for one in principal.approvals or ())),
        ("revocation trigger", tuple(one.value for one in principal.triggers)),
    ):
        naming.check_words(what, words)
    if not 0 <= (principal.heartbeat or 0) <= MAX_HEARTBEAT:
        raise InvalidArgumentError(
            f"heartbeat of {principal.heartbeat} s is out of range", hint=f"0 (none) to {MAX_HEARTBEAT} seconds"
        )
    if principal.actor_type is ActorType.HUMAN and principal.tools:
        raise InvalidArgumentError(
            "a human has no tools", hint="register what acts for them as a principal of its own, with them as its owner"
        )


def check_owner(tx: Transaction, principal: Principal) -> None:
    """Refuse owners that do not answer for anything.

    Raises:
        InvalidArgumentError: none is named.
        NotFoundError: there is no such owner.
        FailedPreconditionError: the owner has left.
    """
    if not principal.owner:
        raise InvalidArgumentError(
            f'principal "{principal.name}" has no owner', hint="name a person or team that answers for it: --owner"
        )
    naming.check_owner_name(principal.owner)
    owner = tx.governed.get(OWNER, principal.owner)
    if owner is None:
        raise NotFoundError(
            f"there is no owner {principal.owner}", hint=f"make it known: assay owner add {principal.owner}"
        )
    if owner.state is not OwnerState.ACTIVE:
        raise FailedPreconditionError(
            f"owner {owner.name} has left and answers for nothing", hint="name another owner: --owner"
        )


def check_grants(tx: Transaction, principal: Principal) -> None:
    """Refuse grants that an actor of its type cannot hold.

    Raises:
        NotFoundError: a grant is not in the catalogue.
        FailedPreconditionError: a grant is for another kind of actor.
    """
    for name in principal.grants:
        grant = tx.governed.get(GRANT, name)
        if grant is None:
            raise NotFoundError(f'there is no grant "{name}"', hint=f"add it to the catalogue: assay grant add {name}")
        if why := misplaced(principal.actor_type, grant):
            raise FailedPreconditionError(f'principal "{principal.name}" cannot hold that: {why}')


def missing_of(tx: Transaction, principal: Principal) -> list[Missing]:
    """What it needs before it may act, as things stand."""
    owner = tx.governed.get(OWNER, principal.owner) if principal.owner else None
    tools = frozenset(name for name in principal.tools if tx.governed.get(TOOL, name) is not None)
    found = [tx.governed.get(GRANT, name) for name in principal.grants]
    return missing_for(principal, owner, Catalogue(tools, {one.name: one for one in found if one is not None}))
