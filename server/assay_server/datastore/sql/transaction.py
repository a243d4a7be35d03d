"""What a transaction function works with: the repositories over one connection."""

from assay.clock import Clock
from assay_server.datastore.sql.authorities import SqlAuthorities
from assay_server.datastore.sql.bundles import SqlBundles
from assay_server.datastore.sql.changes import SqlChanges
from assay_server.datastore.sql.connection import Connection
from assay_server.datastore.sql.entries import SqlEntries
from assay_server.datastore.sql.events import SqlEvents
from assay_server.datastore.sql.federation import SqlFederationRelationships
from assay_server.datastore.sql.governed import SqlGoverned
from assay_server.datastore.sql.join_tokens import SqlJoinTokens
from assay_server.datastore.sql.ledger import SqlLedger
from assay_server.datastore.sql.nodes import SqlNodes


class SqlTransaction:
    """Implements base.Transaction; made once for a connection and used in one transaction after another."""

    def __init__(self, connection: Connection, clock: Clock, *, keep_changes: int) -> None:
        self.changes = SqlChanges(connection, clock, keep=keep_changes)
        self.entries = SqlEntries(connection, self.changes)
        self.nodes = SqlNodes(connection, self.changes)
        self.join_tokens = SqlJoinTokens(connection)
        self.bundles = SqlBundles(connection, self.changes, self.entries)
        self.federation_relationships = SqlFederationRelationships(connection, self.changes)
        self.authorities = SqlAuthorities(connection)
        self.governed = SqlGoverned(connection, self.changes)
        self.events = SqlEvents(connection, self.changes)
        self.ledger = SqlLedger(connection)
