"""Join tokens."""

from sqlalchemy import bindparam, delete, insert, select

from assay_server.datastore.sql.schema import join_tokens

_wanted = join_tokens.c.value == bindparam("wanted")

INSERT = insert(join_tokens)
GET = select(join_tokens.c.value, join_tokens.c.expires_at).where(_wanted)
DELETE = delete(join_tokens).where(_wanted)
PRUNE = delete(join_tokens).where(join_tokens.c.expires_at < bindparam("until"))
