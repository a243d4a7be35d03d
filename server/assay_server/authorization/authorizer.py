"""Whether a caller may use an RPC: anyone, local, admin by configuration, admin and downstream by entry, agent."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import structlog

from assay.clock import Clock
from assay.entry import Entry
from assay.errors import PermissionDeniedError, UnimplementedError
from assay.spiffeid import SpiffeId
from assay_server.authorization.agent import AgentDeniedError, Standing, check_agent
from assay_server.authorization.caller import Caller, CallerKind, Credential
from assay_server.authorization.nodes import NodeRows
from assay_server.authorization.table import RPCS, Who
from assay_server.datastore.base import Store, Transaction
from assay_server.model import Node

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Approach:
    """Who calls, as far as the transport knows: over the admin socket, or over TLS with or without an SVID.

    `hints` is true for local callers who want to be told what to do next.
    """

    local: bool
    credential: Credential | None = None
    address: str = ""
    hints: bool = False


class Authorizer:
    """Admits callers by the table."""

    def __init__(self, store: Store, nodes: NodeRows, clock: Clock, admin_ids: Collection[SpiffeId]) -> None:
        self._store = store
        self._nodes = nodes
        self._clock = clock
        self._admin_ids = frozenset(admin_ids)

    @property
    def admin_ids(self) -> Collection[SpiffeId]:
        """The administrators by configuration."""
        return self._admin_ids

    def set_admin_ids(self, admin_ids: Collection[SpiffeId]) -> None:
        """Take these for administrators from the next RPC on, and no more those of before."""
        self._admin_ids = frozenset(admin_ids)

    async def admit(self, method: str, approach: Approach) -> Caller:
        """Who the caller is, given that it may use this RPC (full method name).

        Raises:
            PermissionDeniedError: it may not; with the reason when an agent can do something about it.
            UnimplementedError: the service is only on the admin socket.
        """
        who = RPCS.get(method, Who(0))
        if who == Who.LOCAL and not approach.local:
            raise UnimplementedError(f"unknown service {method[1:].rpartition('/')[0]}")
        try:
            caller = await self._admitted(who, approach)
        except AgentDeniedError as denial:
            log.error(denial.log_message, method=method, **caller_fields(approach))  # noqa: TRY400 - a refusal, no fault
            raise PermissionDeniedError(f"authorization denied for method {method}", reason=denial.reason) from denial
        if caller is None:
            log.error("Failed to authenticate caller", method=method, **caller_fields(approach))
            raise PermissionDeniedError(f"authorization denied for method {method}")
        return caller

    async def _admitted(self, who: Who, approach: Approach) -> Caller | None:
        if Who.ANYONE in who:
            return _caller(_unasked(approach), approach)
        if approach.local:
            return _caller(CallerKind.LOCAL, approach) if Who.LOCAL in who else None
        credential = approach.credential
        if credential is None:
            return None
        if (kind := await self._kind_by_id(who, credential.spiffe_id)) is not None:
            return _caller(kind, approach)
        if Who.AGENT in who:
            return replace(_caller(CallerKind.AGENT, approach), node=await self._agent(credential))
        return None

    async def _kind_by_id(self, who: Who, spiffe_id: SpiffeId) -> CallerKind | None:
        if Who.ADMIN in who and spiffe_id in self._admin_ids:
            return CallerKind.ADMIN
        if not who & (Who.ADMIN | Who.DOWNSTREAM):
            return None
        entries = await self._store.read(lambda tx: tx.entries.by_spiffe_id(spiffe_id))
        return _kind_by_entries(who, self._live(entries))

    def _live(self, entries: list[Entry]) -> list[Entry]:
        # An expired entry lies in the store until it is pruned, and grants nothing meanwhile.
        now = self._clock.now().timestamp()
        return [entry for entry in entries if not entry.withheld and (not entry.expires_at or entry.expires_at > now)]

    async def _agent(self, credential: Credential) -> Node | None:
        node = await self._nodes.get(credential.spiffe_id)
        now = self._clock.now().timestamp()
        if check_agent(credential, node, now) is Standing.CURRENT:
            return node
        return await self._nodes.write(credential.spiffe_id, lambda tx: _promote(tx, credential, now))


def caller_fields(approach: Approach) -> dict[str, str]:
    """The caller as log lines name it, in SPIRE's words."""
    fields = {"caller_addr": approach.address} if approach.address else {}
    if approach.credential is not None:
        fields["caller_id"] = str(approach.credential.spiffe_id)
    return fields


def _caller(kind: CallerKind, approach: Approach) -> Caller:
    return Caller(kind, approach.credential, address=approach.address, hints=approach.hints)


def _unasked(approach: Approach) -> CallerKind:
    if approach.local:
        return CallerKind.LOCAL
    return CallerKind.OTHER if approach.credential else CallerKind.ANONYMOUS


def _kind_by_entries(who: Who, entries: list[Entry]) -> CallerKind | None:
    if Who.ADMIN in who and any(entry.admin for entry in entries):
        return CallerKind.ADMIN
    if Who.DOWNSTREAM in who and any(entry.downstream for entry in entries):
        return CallerKind.DOWNSTREAM
    return None


def _promote(tx: Transaction, credential: Credential, now: float) -> Node | None:
    """The agent called with its renewed SVID: the one before it ends here. Judged again on the row as it is now."""
    node = tx.nodes.get(credential.spiffe_id)
    standing = check_agent(credential, node, now)
    if node is None or standing is Standing.CURRENT:
        return node
    node = replace(node, serial=node.new_serial, expires_at=node.new_expires_at, new_serial="", new_expires_at=0)
    tx.nodes.put(node)
    return node
