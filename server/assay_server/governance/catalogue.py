"""The catalogue: resources, the tools that act on them, and grants. Nothing goes that somebody still stands on."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from assay.clock import Clock
from assay.errors import AlreadyExistsError, FailedPreconditionError, InvalidArgumentError, NotFoundError, prefixed
from assay.spiffeid import SpiffeId
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.deed import Deed
from assay_server.governance.ending import endable_tasks
from assay_server.governance.journal import erase, record
from assay_server.governance.missing import misplaced
from assay_server.governance.naming import check_uri, check_word, check_words
from assay_server.model.governed.catalogue import GRANT, RESOURCE, TOOL, Grant, Resource, Tool
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.noun import Noun, Terms
from assay_server.model.governed.principal import PRINCIPAL

T = TypeVar("T")

MAX_VERIFIERS = 32

_NAMED = 5
"""How many a refusal names."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of the catalogue's things: what it may say, what it stands on, and who stands on it.

    `check` and `check_there` refuse it before it is written; `users` says who would miss it, each as a refusal says it.
    """

    noun: Noun[T]
    fields: Collection[str]
    check: Callable[[T], None]
    check_there: Callable[[Transaction, T], None]
    users: Callable[[Transaction, str], Iterable[str]]


class CatalogueService(Generic[T]):
    """What operators do with one kind of the catalogue's things; `actor` is who does it."""

    def __init__(self, kind: Kind[T], store: Store, clock: Clock) -> None:
        self._kind = kind
        self._store = store
        self._clock = clock

    async def add(self, value: T, actor: str) -> T:
        """Add it.

        Raises:
            InvalidArgumentError: a field is malformed.
            AlreadyExistsError: there is one of that name.
            NotFoundError: the resource that it is of is not there.
        """
        self._kind.check(value)
        deed = self._deed(actor)

        def write(tx: Transaction) -> T:
            noun = self._kind.noun
            if tx.governed.get(noun, noun.key(value)) is not None:
                raise AlreadyExistsError(
                    f'there is a {noun.name} "{noun.key(value)}"', hint=f"change it with `assay {noun.name} update`"
                )
            return self._put(tx, value, "added", deed)

        return await self._store.write(write)

    async def update(self, given: T, fields: Sequence[str], actor: str) -> T:
        """Take over these fields of `given`.

        Raises:
            InvalidArgumentError: a field is malformed, or is not one that is changed.
            NotFoundError: there is no such thing, or not what it is of.
            FailedPreconditionError: somebody holds it who then could not.
        """
        if wrong := [name for name in fields if name not in self._kind.fields]:
            raise InvalidArgumentError(f"{wrong[0]} of a {self._kind.noun.name} is never changed")
        key, deed = self._kind.noun.key(given), self._deed(actor)

        def write(tx: Transaction) -> T:
            known: Any = self._known(tx, key)  # a dataclass, as all of them are
            value: T = replace(known, **{name: getattr(given, name) for name in fields})
            self._kind.check(value)
            return self._put(tx, value, "updated", deed, fields=list(fields))

        return await self._store.write(write)

    async def remove(self, key: str, actor: str) -> T:
        """Remove it; it as it was.

        Raises:
            NotFoundError: there is none.
            FailedPreconditionError: somebody stands on it, as the message says.
        """
        deed = self._deed(actor)

        def write(tx: Transaction) -> T:
            value = self._known(tx, key)
            if users := list(self._kind.users(tx, key)):
                raise FailedPreconditionError(
                    f'{self._kind.noun.name} "{key}" is needed by {_listed(users)}', hint="take it from them first"
                )
            erase(tx, self._told(value, "removed", deed), self._kind.noun, key)
            return value

        return await self._store.write(write)

    async def get(self, key: str) -> T:
        """The one of that name.

        Raises:
            NotFoundError: there is none.
        """
        return await self._store.read(lambda tx: self._known(tx, key))

    async def find(self, terms: Terms, page: Page) -> tuple[list[T], str]:
        """Those that all of these are true of, in order of creation, and the token of the next page."""
        asked = [(term, value) for term, value in terms if value]
        return await self._store.read(lambda tx: tx.governed.find(self._kind.noun, asked, page))

    def _deed(self, actor: str) -> Deed:
        return Deed(actor, int(self._clock.now().timestamp()))

    def _known(self, tx: Transaction, key: str) -> T:
        found = tx.governed.get(self._kind.noun, key)
        if found is None:
            name = self._kind.noun.name
            raise NotFoundError(f'there is no {name} "{key}"', hint=f"`assay {name} list` names those there are")
        return found

    def _put(self, tx: Transaction, value: T, change: str, deed: Deed, **details: Any) -> T:  # noqa: ANN401 - of JSON
        self._kind.check_there(tx, value)
        record(tx, self._told(value, change, deed, **details), (self._kind.noun, value))
        return value

    def _told(self, value: T, change: str, deed: Deed, **details: Any) -> Event:  # noqa: ANN401 - of JSON
        noun = self._kind.noun
        details = {"change": change, "kind": noun.name, **details}
        return Event(EventType.CATALOGUE_CHANGED, deed.at, deed.actor, noun.key(value), details=details)


def _listed(users: Sequence[str]) -> str:
    more = f" and {len(users) - _NAMED} more" if len(users) > _NAMED else ""
    return ", ".join(users[:_NAMED]) + more


def _check_resource(resource: Resource) -> None:
    check_uri(resource.uri)
    check_word("environment", resource.environment)
    if resource.tenant:
        check_word("tenant", resource.tenant)
    check_words("data class", resource.data_classes)
    if len(resource.verifiers) > MAX_VERIFIERS:
        raise InvalidArgumentError(f"a resource has at most {MAX_VERIFIERS} verifiers")
    for one in resource.verifiers:
        with prefixed("verifier"):
            SpiffeId.parse(one)


def _check_tool(tool: Tool) -> None:
    check_word("tool", tool.name)
    check_uri(tool.resource)


def _check_grant(grant: Grant) -> None:
    check_word("grant", grant.name)


def _check_resource_there(tx: Transaction, tool: Tool) -> None:
    if tx.governed.get(RESOURCE, tool.resource) is None:
        raise NotFoundError(f'there is no resource "{tool.resource}"', hint="add it: assay resource add")


def _check_holders(tx: Transaction, grant: Grant) -> None:
    """Nobody may hold a grant that has become one for another kind of actor."""
    for principal in tx.governed.find(PRINCIPAL, [("grant", grant.name)], Page())[0]:
        if why := misplaced(principal.actor_type, grant):
            raise FailedPreconditionError(f'principal "{principal.name}" holds it: {why}', hint="take it from it first")


def _tools_of(tx: Transaction, uri: str) -> Iterable[str]:
    return [f'tool "{tool.name}"' for tool in tx.governed.find(TOOL, [("resource", uri)], Page())[0]]


def _users_of_tool(tx: Transaction, name: str) -> Iterable[str]:
    tasks = endable_tasks(tx, ("tool", name))
    return [*_principals(tx, ("tool", name)), *(f"task {task.task_id}" for task in tasks)]


def _principals(tx: Transaction, term: tuple[str, str]) -> Iterable[str]:
    return [f'principal "{one.name}"' for one in tx.governed.find(PRINCIPAL, [term], Page())[0]]


RESOURCES = Kind(
    RESOURCE,
    ("environment", "tenant", "sensitivity", "data_classes", "verifiers"),
    _check_resource,
    lambda _tx, _one: None,
    _tools_of,
)
TOOLS = Kind(TOOL, ("resource", "action_class", "risk", "exports"), _check_tool, _check_resource_there, _users_of_tool)
GRANTS = Kind(
    GRANT, ("holder", "administers"), _check_grant, _check_holders, lambda tx, name: _principals(tx, ("grant", name))
)
