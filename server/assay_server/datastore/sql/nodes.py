"""Attested nodes and their selectors."""

from dataclasses import replace

from assay.selector import sorted_distinct
from assay.spiffeid import SpiffeId
from assay_server.datastore.base import ChangeKind, NodeFilter, Page
from assay_server.datastore.sql.changes import SqlChanges
from assay_server.datastore.sql.connection import Connection, Row
from assay_server.datastore.sql.filters import Condition, count_of, page_of, selectors_match, selectors_of
from assay_server.datastore.sql.owned import Owned
from assay_server.datastore.sql.text import nodes as sql
from assay_server.model import Node

_SELECTORS = Owned(sql.SELECTORS, sql.SELECTORS_BETWEEN)


class SqlNodes:
    """Implements base.Nodes."""

    def __init__(self, connection: Connection, changes: SqlChanges) -> None:
        self._connection = connection
        self._changes = changes

    def get(self, spiffe_id: SpiffeId) -> Node | None:
        """The node of that SPIFFE ID."""
        row = self._connection.row(sql.BY_ID, {"wanted": str(spiffe_id)})
        return self._assemble([row])[0] if row else None

    def find(self, where: NodeFilter, page: Page) -> tuple[list[Node], str]:
        """Nodes in order of first attestation, and the token of the next page (empty at the end)."""
        rows, token = page_of(self._connection, sql.LISTING, sql.AFTER, _conditions(where), page)
        return self._assemble(rows), token

    def count(self, where: NodeFilter) -> int:
        """How many `find` would list."""
        return count_of(self._connection, sql.COUNT, _conditions(where))

    def put(self, node: Node) -> None:
        """Create or replace, selectors included."""
        node = _normal(node)
        change = self._changes.append(ChangeKind.NODE, str(node.spiffe_id), node)
        position = self._position(node.spiffe_id)
        if position is None:
            position = change
            self._connection.run(sql.INSERT, _values(position, node))
        else:
            self._connection.run(sql.UPDATE, _values(position, node) | {"at_position": position})
            self._connection.run(sql.DELETE_SELECTORS, {"at_position": position})
        self._connection.run_many(
            sql.INSERT_SELECTOR,
            [{"node": position, "type": s.type, "value": s.value} for s in node.selectors],
        )

    def delete(self, spiffe_id: SpiffeId) -> bool:
        """Whether there was one."""
        position = self._position(spiffe_id)
        if position is None:
            return False
        self._changes.append(ChangeKind.NODE, str(spiffe_id))
        self._connection.run(sql.DELETE, {"at_position": position})
        return True

    def _position(self, spiffe_id: SpiffeId) -> int | None:
        row = self._connection.row(sql.POSITION, {"wanted": str(spiffe_id)})
        return row[0] if row else None

    def _assemble(self, rows: list[Row]) -> list[Node]:
        selectors = selectors_of(_SELECTORS.rows(self._connection, [row[0] for row in rows]))
        return [
            Node(
                spiffe_id=SpiffeId.parse(spiffe_id),
                attestation_type=attestation_type,
                serial=serial,
                expires_at=expires_at,
                new_serial=new_serial,
                new_expires_at=new_expires_at,
                can_reattest=bool(can_reattest),
                selectors=tuple(selectors.get(position, ())),
                agent_version=agent_version,
            )
            for (
                position,
                spiffe_id,
                attestation_type,
                serial,
                expires_at,
                new_serial,
                new_expires_at,
                can_reattest,
                agent_version,
            ) in rows
        ]


def _conditions(where: NodeFilter) -> list[Condition]:
    found: list[Condition] = []
    if where.attestation_type is not None:
        found.append(Condition(sql.OF_ATTESTATION_TYPE, {"attestation_type": where.attestation_type}))
    if where.banned is not None:
        found.append(Condition(sql.BANNED if where.banned else sql.NOT_BANNED, {}))
    if where.can_reattest is not None:
        found.append(Condition(sql.OF_CAN_REATTEST, {"can_reattest": where.can_reattest}))
    if where.expires_before is not None:
        found.append(Condition(sql.EXPIRES_BEFORE, {"expires_before": where.expires_before}))
    if where.selectors is not None:
        found.append(selectors_match(sql.OF_SELECTORS, where.selectors))
    return found


def _normal(node: Node) -> Node:
    """As it is read again."""
    selectors = sorted_distinct(node.selectors)
    return node if selectors is node.selectors else replace(node, selectors=selectors)


def _values(position: int, node: Node) -> dict[str, object]:
    return {
        "position": position,
        "spiffe_id": str(node.spiffe_id),
        "attestation_type": node.attestation_type,
        "serial": node.serial,
        "expires_at": node.expires_at,
        "new_serial": node.new_serial,
        "new_expires_at": node.new_expires_at,
        "can_reattest": node.can_reattest,
        "agent_version": node.agent_version,
    }
