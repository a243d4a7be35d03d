"""The store's port: whole transactions as functions, run one after another, committed in groups.

A transaction function is synchronous, gets a `Transaction` and does nothing but read and write through it: it runs
in the store's own thread. Every write of an entry, a node, a bundle or a federation relationship also writes a line of
`changes`, so that sequence order is commit order and no gap is ever seen (docs/architecture.md, State).
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, TypeVar

from assay.bundle import Bundle
from assay.entry import Entry
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.model import AuthorityRecord, FederationRelationship, JoinToken, Node
from assay_server.model.governed.event import Event
from assay_server.model.governed.ledger import Head, LedgerRecord, SignedCheckpoint
from assay_server.model.governed.noun import Noun, Terms

T = TypeVar("T")


class ChangeKind(Enum):
    """What changed; the object is looked up by its ID, a deleted one is no longer found."""

    ENTRY = "entry"  # object_id: entry ID
    NODE = "node"  # object_id: the agent's SPIFFE ID
    BUNDLE = "bundle"  # object_id: trust domain name
    FEDERATION_RELATIONSHIP = "federation_relationship"  # object_id: likewise
    GOVERNED = "governed"  # object_id: the noun's name, a slash and the object's key


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the change sequence."""

    sequence: int
    kind: ChangeKind
    object_id: str


@dataclass(frozen=True, slots=True)
class Written:
    """A committed change and what the entry or node became by it: None when it is gone. Always None for other kinds.

    `due` is when a governed object's time comes, as its noun says; 0 for never, and for all else.
    """

    change: Change
    value: Entry | Node | None = None
    due: int = 0


class Match(Enum):
    """How a list in a filter relates to the object's list; values are those of SPIRE's MatchBehavior.

    An object that shares nothing with the list never matches; an empty list is an InvalidArgumentError.
    """

    EXACT = 0
    SUBSET = 1
    SUPERSET = 2
    ANY = 3


@dataclass(frozen=True, slots=True)
class SelectorFilter:
    """Objects whose selectors are exactly, within, a superset of, or share one with these."""

    selectors: tuple[Selector, ...]
    match: Match


@dataclass(frozen=True, slots=True)
class TrustDomainFilter:
    """Entries whose `federates_with` relates so to these."""

    trust_domains: tuple[TrustDomain, ...]
    match: Match


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which entries to list; None does not filter."""

    spiffe_id: SpiffeId | None = None
    parent_id: SpiffeId | None = None
    selectors: SelectorFilter | None = None
    federates_with: TrustDomainFilter | None = None
    hint: str | None = None
    downstream: bool | None = None


@dataclass(frozen=True, slots=True)
class NodeFilter:
    """Which nodes to list; None does not filter. `expires_before` is in Unix seconds."""

    attestation_type: str | None = None
    selectors: SelectorFilter | None = None
    banned: bool | None = None
    can_reattest: bool | None = None
    expires_before: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A slice of a listing: at most `size` objects (0: all) after the one that `token` names (empty: from the start).

    Tokens are those of an earlier answer; any other is an InvalidArgumentError.
    """

    size: int = 0
    token: str = ""


class Entries(Protocol):
    """Registration entries."""

    def get(self, entry_id: str) -> Entry | None: ...
    def get_many(self, entry_ids: Collection[str]) -> list[Entry]: ...
    def find_same(self, spiffe_id: SpiffeId, parent_id: SpiffeId, selectors: Sequence[Selector]) -> Entry | None:
        """The entry with that SPIFFE ID, parent and set of selectors, which may exist only once."""
        ...

    def find(self, where: EntryFilter, page: Page) -> tuple[list[Entry], str]:
        """Entries in order of creation, and the token of the next page (empty at the end)."""
        ...

    def count(self, where: EntryFilter) -> int: ...
    def by_parents(self, parent_ids: Collection[SpiffeId]) -> list[Entry]:
        """Entries whose parent is one of these; one indexed query."""
        ...

    def by_spiffe_id(self, spiffe_id: SpiffeId) -> list[Entry]: ...
    def create(self, entry: Entry) -> None:
        """Write it as given; its ID must be new (AlreadyExistsError).

        It may federate only with trust domains whose bundles are there (FailedPreconditionError); so for `update`.
        """
        ...

    def update(self, entry: Entry) -> None:
        """Replace the stored entry of that ID (NotFoundError); the caller has raised the revision."""
        ...

    def delete(self, entry_id: str) -> bool:
        """Whether there was one."""
        ...

    def of_principal(self, principal: str) -> list[Entry]:
        """The bindings of that principal, withheld or not; one indexed query."""
        ...

    def binding(self, entry_id: str) -> Entry | None:
        """The entry of that ID, if it is a principal's binding; None for plain ones, and far cheaper then."""
        ...

    def bindings_at(self, spiffe_ids: Collection[SpiffeId]) -> list[Entry]:
        """The bindings for these SPIFFE IDs; one indexed query."""
        ...

    def principals_at(self, spiffe_id: SpiffeId) -> frozenset[str]:
        """The principals whose bindings are for that SPIFFE ID and not withheld; one indexed query."""
        ...

    def principal_by(self, entry_id: str) -> str | None:
        """The principal of the binding of that ID; None for one that is withheld, and for plain entries."""
        ...

    def expired(self, now: int) -> list[str]:
        """IDs of entries whose `expires_at` is set and not after `now`."""
        ...


class Nodes(Protocol):
    """Attested nodes."""

    def get(self, spiffe_id: SpiffeId) -> Node | None: ...
    def find(self, where: NodeFilter, page: Page) -> tuple[list[Node], str]: ...
    def count(self, where: NodeFilter) -> int: ...
    def put(self, node: Node) -> None:
        """Create or replace, selectors included."""
        ...

    def delete(self, spiffe_id: SpiffeId) -> bool: ...


class JoinTokens(Protocol):
    """Join tokens not used yet."""

    def create(self, token: JoinToken) -> None:
        """Write it (AlreadyExistsError)."""
        ...

    def get(self, value: str) -> JoinToken | None: ...

    def take(self, value: str) -> JoinToken | None:
        """Remove and return it: a token serves once."""
        ...

    def prune(self, expired_before: int) -> int: ...


class Bundles(Protocol):
    """Bundles by trust domain: our own and those of foreign trust domains."""

    def get(self, trust_domain: TrustDomain) -> Bundle | None: ...
    def get_many(self, trust_domains: Collection[TrustDomain]) -> list[Bundle]: ...
    def find(self, page: Page) -> tuple[list[Bundle], str]: ...
    def count(self) -> int: ...
    def put(self, bundle: Bundle) -> None:
        """Create or replace; the caller has set `sequence`."""
        ...

    def delete(self, trust_domain: TrustDomain) -> bool:
        """Whether there was one; FailedPreconditionError while entries federate with it."""
        ...

    def federated_entries(self, trust_domain: TrustDomain) -> list[Entry]:
        """Entries that federate with it."""
        ...


class FederationRelationships(Protocol):
    """Where bundles of foreign trust domains are fetched. They and the bundles come and go independently."""

    def get(self, trust_domain: TrustDomain) -> FederationRelationship | None: ...
    def find(self, page: Page) -> tuple[list[FederationRelationship], str]: ...
    def put(self, relationship: FederationRelationship) -> None:
        """Create or replace."""
        ...

    def delete(self, trust_domain: TrustDomain) -> bool:
        """Whether there was one."""
        ...


class Governed(Protocol):
    """Governed objects of every kind. Write them with `assay_server.governance.journal`, never here alone."""

    def get(self, noun: Noun[T], key: str) -> T | None: ...
    def find(self, noun: Noun[T], terms: Terms, page: Page, *, due_after: int | None = None) -> tuple[list[T], str]:
        """Those that all of these terms are true of, in order of creation, and the token of the next page.

        With `due_after` only those whose time comes after that, such as credentials that have not expired.
        """
        ...

    def latest(self, noun: Noun[T], terms: Terms, limit: int) -> list[T]:
        """At most `limit` of those that all of these terms are true of, the newest first."""
        ...

    def count(self, noun: Noun[T], terms: Terms) -> int: ...
    def due(self, noun: Noun[T], now: int, limit: int) -> list[T]:
        """At most `limit` of those whose time has come, the longest due first."""
        ...

    def put(self, noun: Noun[T], value: T) -> None:
        """Create or replace."""
        ...

    def delete(self, noun: Noun[T], key: str) -> bool:
        """Whether there was one."""
        ...

    def forget(self, noun: Noun[T], keys: Sequence[str]) -> None:
        """Delete those there are of these, as one change, whose object has no key: `credential/`."""
        ...


class Events(Protocol):
    """What happened to governed identities, in order; only ever added to."""

    def append(self, event: Event) -> None:
        """Write it down as the next record of the ledger; InvalidArgumentError where JSON cannot say it."""
        ...

    def find(self, page: Page, *, task_id: str = "", principal: str = "") -> tuple[list[Event], str]:
        """Oldest first, of one task or principal if that is said."""
        ...

    def latest(self, principal: str, limit: int) -> list[Event]:
        """The principal's last events, at most `limit`, oldest first."""
        ...


class Ledger(Protocol):
    """The chain of records that events make, and its checkpoints. Numbers have no gaps and are never used again."""

    def head(self) -> Head: ...
    def first(self) -> int:
        """The number of the oldest record that is kept, 0 where there is none."""
        ...

    def since(self, at: int) -> int | None:
        """The number of the first record from that second on; reads all that come before it."""
        ...

    def records(
        self, after: int, limit: int, *, until: int = 0, task_id: str = "", principal: str = ""
    ) -> list[LedgerRecord]:
        """At most `limit` records behind that number in order, of one task or principal if that is said."""
        ...

    def keep(self, checkpoint: SignedCheckpoint) -> None:
        """Add one; there is none of that number."""
        ...

    def checkpoints(self, after: int, limit: int) -> list[SignedCheckpoint]:
        """At most `limit` behind the record of that number, oldest first."""
        ...

    def checkpoint(self, until: int) -> SignedCheckpoint | None:
        """The newest of the records up to that number."""
        ...

    def forget(self, before: int) -> int:
        """Drop the checkpoints of records before that number; how many."""
        ...

    def delete(self, until: int) -> int:
        """Drop the records up to that number; how many."""
        ...


class Authorities(Protocol):
    """The CA journal."""

    def load(self) -> list[AuthorityRecord]: ...
    def save(self, records: Sequence[AuthorityRecord]) -> None:
        """Replace the journal by these records."""
        ...


class Changes(Protocol):
    """The strict change sequence."""

    def latest(self) -> int: ...
    def since(self, sequence: int, limit: int) -> list[Change] | None:
        """Changes after that sequence, oldest first, at most `limit`.

        None when some of them were pruned or the sequence lies ahead of this database: only a snapshot helps then.
        """
        ...


class Transaction(Protocol):
    """What a transaction function works with."""

    @property
    def entries(self) -> Entries: ...
    @property
    def nodes(self) -> Nodes: ...
    @property
    def join_tokens(self) -> JoinTokens: ...
    @property
    def bundles(self) -> Bundles: ...
    @property
    def federation_relationships(self) -> FederationRelationships: ...
    @property
    def authorities(self) -> Authorities: ...
    @property
    def governed(self) -> Governed: ...
    @property
    def events(self) -> Events: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def changes(self) -> Changes: ...


class Store(Protocol):
    """A durable store."""

    @property
    def incarnation(self) -> str:
        """Random name of this database; a restored backup gets a new one (docs/architecture.md, State)."""
        ...

    @property
    def sequence(self) -> int:
        """The latest committed sequence; no acknowledged write is after it."""
        ...

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run in a read transaction: one consistent view, no waiting for writers; writing is a TypeError."""
        ...

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run in a write transaction, grouped with others that wait; returns after the commit is durable.

        What `work` raises undoes `work` alone and is raised here.
        """
        ...

    def recent(self, sequence: int) -> Sequence[Written] | None:
        """What was committed after that sequence, oldest first, from memory; None when memory does not reach back."""
        ...

    def newest(self, kind: ChangeKind, object_id: str) -> Written | None:
        """The object's last change, and so its present state, if that is in memory; for entries and nodes only."""
        ...

    def watch(self) -> AsyncIterator[int]:
        """Yield the latest sequence at once and again after every commit that changed it, until `close`.

        Slow readers skip.
        """
        ...

    async def close(self) -> None: ...
