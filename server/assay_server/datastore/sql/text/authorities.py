"""Written by `make sql` from authorities.py in ../statements; change it there."""

LOAD = """\
SELECT authorities.kind, authorities.slot, authorities.status, authorities.key_id, authorities.authority_id, authorities.issued_at, authorities.not_after, authorities.document
FROM authorities ORDER BY authorities.rank\
"""

CLEAR = """\
DELETE FROM authorities\
"""

INSERT = """\
INSERT INTO authorities (rank, kind, slot, status, key_id, authority_id, issued_at, not_after, document) VALUES (:rank, :kind, :slot, :status, :key_id, :authority_id, :issued_at, :not_after, :document)\
"""
