"""Written by `make sql` from database.py in ../statements; change it there."""

TABLES = [
"""\
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)\
""",
"""\
CREATE TABLE authorities (
	rank INTEGER NOT NULL,
	kind TEXT NOT NULL,
	slot TEXT NOT NULL,
	status TEXT NOT NULL,
	key_id TEXT NOT NULL,
	authority_id TEXT NOT NULL,
	issued_at INTEGER NOT NULL,
	not_after INTEGER NOT NULL,
	document BLOB NOT NULL,
	CONSTRAINT authorities_pk PRIMARY KEY (rank)
)\
""",
"""\
CREATE TABLE bundles (
	position INTEGER NOT NULL,
	trust_domain TEXT NOT NULL,
	refresh_hint INTEGER NOT NULL,
	sequence INTEGER NOT NULL,
	authorities TEXT NOT NULL,
	CONSTRAINT bundles_pk PRIMARY KEY (position),
	CONSTRAINT bundles_trust_domain_key UNIQUE (trust_domain)
)\
""",
"""\
CREATE TABLE changes (
	seq INTEGER NOT NULL,
	kind TEXT NOT NULL,
	object_id TEXT NOT NULL,
	at INTEGER NOT NULL,
	CONSTRAINT changes_pk PRIMARY KEY (seq)
)\
""",
"""\
CREATE TABLE checkpoints (
	number INTEGER NOT NULL,
	at INTEGER NOT NULL,
	token TEXT NOT NULL,
	CONSTRAINT checkpoints_pk PRIMARY KEY (number)
)\
""",
"""\
CREATE TABLE counter (
	id INTEGER NOT NULL CONSTRAINT counter_single_check CHECK (id = 1),
	value INTEGER NOT NULL,
	CONSTRAINT counter_pk PRIMARY KEY (id)
)\
""",
"""\
CREATE TABLE entries (
	position INTEGER NOT NULL,
	entry_id TEXT NOT NULL,
	spiffe_id TEXT NOT NULL,
	parent_id TEXT NOT NULL,
	likeness BLOB NOT NULL,
	x509_svid_ttl INTEGER NOT NULL,
	jwt_svid_ttl INTEGER NOT NULL,
	hint TEXT NOT NULL,
	admin BOOLEAN NOT NULL,
	downstream BOOLEAN NOT NULL,
	store_svid BOOLEAN NOT NULL,
	disable_x509_svid_prefetch BOOLEAN NOT NULL,
	jwt_svid_include_jti BOOLEAN NOT NULL,
	expires_at INTEGER NOT NULL,
	revision INTEGER NOT NULL,
	created_at INTEGER NOT NULL,
	CONSTRAINT entries_pk PRIMARY KEY (position),
	CONSTRAINT entries_entry_id_key UNIQUE (entry_id)
)\
""",
"""\
CREATE INDEX entries_downstream ON entries (downstream)\
""",
"""\
CREATE INDEX entries_expires_at ON entries (expires_at) WHERE expires_at > 0\
""",
"""\
CREATE INDEX entries_hint ON entries (hint)\
""",
"""\
CREATE INDEX entries_likeness ON entries (spiffe_id, likeness)\
""",
"""\
CREATE INDEX entries_parent_id ON entries (parent_id)\
""",
"""\
CREATE INDEX entries_spiffe_id ON entries (spiffe_id)\
""",
"""\
CREATE TABLE events (
	position INTEGER NOT NULL,
	at INTEGER NOT NULL,
	type TEXT NOT NULL,
	task_id TEXT NOT NULL,
	principal TEXT NOT NULL,
	document TEXT NOT NULL,
	number INTEGER NOT NULL,
	hash TEXT NOT NULL,
	CONSTRAINT events_pk PRIMARY KEY (position)
)\
""",
"""\
CREATE UNIQUE INDEX events_number ON events (number)\
""",
"""\
CREATE INDEX events_principal ON events (principal) WHERE principal <> ''\
""",
"""\
CREATE INDEX events_task ON events (task_id) WHERE task_id <> ''\
""",
"""\
CREATE TABLE federation_relationships (
	position INTEGER NOT NULL,
	trust_domain TEXT NOT NULL,
	bundle_endpoint_url TEXT NOT NULL,
	bundle_endpoint_profile TEXT NOT NULL,
	endpoint_spiffe_id TEXT NOT NULL,
	CONSTRAINT federation_relationships_pk PRIMARY KEY (position),
	CONSTRAINT federation_relationships_trust_domain_key UNIQUE (trust_domain)
)\
""",
"""\
CREATE TABLE governed (
	position INTEGER NOT NULL,
	kind TEXT NOT NULL,
	name TEXT NOT NULL,
	due INTEGER NOT NULL,
	document TEXT NOT NULL,
	CONSTRAINT governed_pk PRIMARY KEY (position)
)\
""",
"""\
CREATE INDEX governed_due ON governed (kind, due) WHERE due > 0\
""",
"""\
CREATE UNIQUE INDEX governed_name ON governed (kind, name)\
""",
"""\
CREATE TABLE join_tokens (
	value TEXT NOT NULL,
	expires_at INTEGER NOT NULL,
	CONSTRAINT join_tokens_pk PRIMARY KEY (value)
)
 WITHOUT ROWID\
""",
"""\
CREATE TABLE meta (
	id INTEGER NOT NULL CONSTRAINT meta_single_check CHECK (id = 1),
	schema_version INTEGER NOT NULL,
	compatible_from INTEGER NOT NULL,
	incarnation TEXT NOT NULL,
	CONSTRAINT meta_pk PRIMARY KEY (id)
)\
""",
"""\
CREATE TABLE nodes (
	position INTEGER NOT NULL,
	spiffe_id TEXT NOT NULL,
	attestation_type TEXT NOT NULL,
	serial TEXT NOT NULL,
	expires_at INTEGER NOT NULL,
	new_serial TEXT NOT NULL,
	new_expires_at INTEGER NOT NULL,
	can_reattest BOOLEAN NOT NULL,
	agent_version TEXT NOT NULL,
	CONSTRAINT nodes_pk PRIMARY KEY (position),
	CONSTRAINT nodes_spiffe_id_key UNIQUE (spiffe_id)
)\
""",
"""\
CREATE INDEX nodes_expires_at ON nodes (expires_at)\
""",
"""\
CREATE TABLE entry_bindings (
	entry INTEGER NOT NULL,
	principal TEXT NOT NULL,
	instance_from TEXT NOT NULL,
	withheld BOOLEAN NOT NULL,
	CONSTRAINT entry_bindings_pk PRIMARY KEY (entry),
	CONSTRAINT entry_bindings_entry_fk FOREIGN KEY(entry) REFERENCES entries (position) ON DELETE CASCADE
)
 WITHOUT ROWID\
""",
"""\
CREATE INDEX entry_bindings_principal ON entry_bindings (principal)\
""",
"""\
CREATE TABLE entry_dns_names (
	entry INTEGER NOT NULL,
	rank INTEGER NOT NULL,
	name TEXT NOT NULL,
	CONSTRAINT entry_dns_names_pk PRIMARY KEY (entry, rank),
	CONSTRAINT entry_dns_names_entry_fk FOREIGN KEY(entry) REFERENCES entries (position) ON DELETE CASCADE
)
 WITHOUT ROWID\
""",
"""\
CREATE TABLE entry_federates_with (
	entry INTEGER NOT NULL,
	rank INTEGER NOT NULL,
	trust_domain TEXT NOT NULL,
	CONSTRAINT entry_federates_with_pk PRIMARY KEY (entry, rank),
	CONSTRAINT entry_federates_with_entry_fk FOREIGN KEY(entry) REFERENCES entries (position) ON DELETE CASCADE,
	CONSTRAINT entry_federates_with_trust_domain_fk FOREIGN KEY(trust_domain) REFERENCES bundles (trust_domain)
)
 WITHOUT ROWID\
""",
"""\
CREATE UNIQUE INDEX entry_federates_with_trust_domain ON entry_federates_with (trust_domain, entry)\
""",
"""\
CREATE TABLE entry_selectors (
	entry INTEGER NOT NULL,
	type TEXT NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT entry_selectors_pk PRIMARY KEY (entry, type, value),
	CONSTRAINT entry_selectors_entry_fk FOREIGN KEY(entry) REFERENCES entries (position) ON DELETE CASCADE
)
 WITHOUT ROWID\
""",
"""\
CREATE INDEX entry_selectors_value ON entry_selectors (type, value, entry)\
""",
"""\
CREATE TABLE governed_terms (
	kind TEXT NOT NULL,
	term TEXT NOT NULL,
	value TEXT NOT NULL,
	governed INTEGER NOT NULL,
	CONSTRAINT governed_terms_pk PRIMARY KEY (kind, term, value, governed),
	CONSTRAINT governed_terms_governed_fk FOREIGN KEY(governed) REFERENCES governed (position) ON DELETE CASCADE
)
 WITHOUT ROWID\
""",
"""\
CREATE INDEX governed_terms_governed ON governed_terms (governed)\
""",
"""\
CREATE TABLE node_selectors (
	node INTEGER NOT NULL,
	type TEXT NOT NULL,
	value TEXT NOT NULL,
	CONSTRAINT node_selectors_pk PRIMARY KEY (node, type, value),
	CONSTRAINT node_selectors_node_fk FOREIGN KEY(node) REFERENCES nodes (position) ON DELETE CASCADE
)
 WITHOUT ROWID\
""",
"""\
CREATE INDEX node_selectors_value ON node_selectors (type, value, node)\
""",
]

INSERT_COUNTER = """\
INSERT INTO counter (id, value) VALUES (:id, :value)\
"""

INSERT_META = """\
INSERT INTO meta (id, schema_version, compatible_from, incarnation) VALUES (:id, :schema_version, :compatible_from, :incarnation)\
"""

INSERT_REVISION = """\
INSERT INTO alembic_version (version_num) VALUES (:version_num)\
"""

VERSION = """\
SELECT meta.schema_version, meta.compatible_from
FROM meta\
"""

POSITION = """\
SELECT meta.incarnation, counter.value
FROM meta JOIN counter ON counter.id = meta.id\
"""

RENAME = """\
UPDATE meta SET incarnation=:name\
"""
