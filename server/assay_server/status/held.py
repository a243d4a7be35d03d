"""What counts no more, read from the store: whole, or of what changes say was touched."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from assay.spiffeid import TrustDomain
from assay.status.log import Item
from assay.status.values import Identity, Revoked
from assay_server.datastore.base import Change, ChangeKind, Page, Transaction
from assay_server.governance.idtemplate import bound_id
from assay_server.model.governed.event import EventType
from assay_server.model.governed.principal import INSTANCE, PRINCIPAL, Principal, PrincipalState
from assay_server.model.governed.task import CREDENTIAL, Credential

_STOPPED = (PrincipalState.SUSPENDED, PrincipalState.RETIRED)
_CREDENTIALS, _PRINCIPALS = f"{CREDENTIAL.name}/", f"{PRINCIPAL.name}/"
_REVOCATION = f"event/{EventType.REVOCATION.value}"
_PRINCIPAL_CHANGED = f"event/{EventType.PRINCIPAL_CHANGED.value}"

LOOKED_BACK = 10_000
"""Changes before the newest of which a server that starts still knows what they were: whoever was connected to the one
before it need not begin anew."""


@dataclass(frozen=True, slots=True)
class Held:
    """All there is at that position, and what of it is news to whoever holds everything until `since`."""

    position: int
    items: tuple[Item, ...]
    since: int
    news: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Touched:
    """Keys of credentials and principals that changes may have ended, stopped or set free."""

    credentials: tuple[str, ...] = ()
    principals: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.credentials or self.principals)


def touched(changes: Iterable[Change]) -> Touched:
    """What these changes, which have to be whole transactions, may have done.

    Credentials are written far more often than they are revoked: without an event that says so none was.
    """
    governed = [one.object_id for one in changes if one.kind is ChangeKind.GOVERNED]
    said = frozenset(governed)
    return Touched(
        _keys(governed, _CREDENTIALS) if _REVOCATION in said else (),
        _keys(governed, _PRINCIPALS) if _PRINCIPAL_CHANGED in said else (),
    )


def revoked_since(changes: Iterable[Change]) -> bool:
    """Whether any of these changes revoked something."""
    return any(one.kind is ChangeKind.GOVERNED and one.object_id == _REVOCATION for one in changes)


def everything(tx: Transaction, trust_domain: TrustDomain, now: int) -> Held:
    """All there is: revoked credentials that have not expired, and identities of stopped principals.

    Instances are told for as long as they are remembered, which is longer than any X.509-SVID of theirs lives.
    """
    revoked, _ = tx.governed.find(CREDENTIAL, [("revoked", "yes")], Page(), due_after=now)
    stopped = [one for state in _STOPPED for one in tx.governed.find(PRINCIPAL, [("state", state.value)], Page())[0]]
    items: list[Item] = [told(one) for one in revoked]
    for principal in stopped:
        items += identities(tx, principal, trust_domain)
    position = tx.changes.latest()
    since = max(0, position - LOOKED_BACK)
    changes = tx.changes.since(since, LOOKED_BACK)
    if changes is None:
        return Held(position, tuple(items), position, ())
    return Held(position, tuple(items), since, news(tx, touched(changes), trust_domain))


def news(tx: Transaction, what: Touched, trust_domain: TrustDomain) -> tuple[Item, ...]:
    """What there is to tell of them as they are now."""
    found: list[Item] = []
    for key in what.credentials:
        credential = tx.governed.get(CREDENTIAL, key)
        if credential is not None and credential.revoked_at:
            found.append(told(credential))
    for key in what.principals:
        principal = tx.governed.get(PRINCIPAL, key)
        if principal is not None:
            found += identities(tx, principal, trust_domain)
    return tuple(found)


def told(credential: Credential) -> Revoked:
    """A revoked credential as others are told of it."""
    return Revoked(credential.jti, credential.task_id, credential.expires_at, credential.revoked_at, credential.cause)


def identities(tx: Transaction, principal: Principal, trust_domain: TrustDomain) -> list[Item]:
    """The SPIFFE IDs of a principal, its copies' and the one that its bindings have, and whether they count."""
    instances, _ = tx.governed.find(INSTANCE, [("principal", principal.name)], Page())
    names: Sequence[str] = (str(bound_id(principal, trust_domain)), *(one.spiffe_id for one in instances))
    withdrawn = principal.state in _STOPPED
    cause = f"principal_{principal.state.value}" if withdrawn else ""
    return [Identity(name, withdrawn, cause) for name in names]


def _keys(governed: Iterable[str], prefix: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.removeprefix(prefix) for one in governed if one.startswith(prefix)))
