"""Written by `make sql` from changes.py in ../statements; change it there."""

LATEST = """\
SELECT counter.value
FROM counter\
"""

ADVANCE = """\
UPDATE counter SET value=:latest\
"""

INSERT = """\
INSERT INTO changes (seq, kind, object_id, at) VALUES (:seq, :kind, :object_id, :at)\
"""

OLDEST = """\
SELECT min(changes.seq) AS min_1
FROM changes\
"""

SINCE = """\
SELECT changes.seq, changes.kind, changes.object_id
FROM changes
WHERE changes.seq > :after ORDER BY changes.seq
 LIMIT :size OFFSET 0\
"""

PRUNE = """\
DELETE FROM changes WHERE changes.seq <= :until\
"""
