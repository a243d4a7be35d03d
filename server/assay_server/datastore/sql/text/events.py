"""Written by `make sql` from events.py in ../statements; change it there."""

INSERT = """\
INSERT INTO events (position, at, type, task_id, principal, document, number, hash) VALUES (:position, :at, :type, :task_id, :principal, :document, :number, :hash)\
"""

LISTING = """\
SELECT events.position, events.document
FROM events
WHERE {where} ORDER BY events.position
 LIMIT :size OFFSET 0\
"""

AFTER = """\
events.position > :after\
"""

OF_TASK = """\
events.task_id = :task_id AND events.task_id != ''\
"""

OF_PRINCIPAL = """\
events.principal = :principal AND events.principal != ''\
"""

LATEST_LISTING = """\
SELECT events.position, events.document
FROM events
WHERE {where} ORDER BY events.position DESC
 LIMIT :size OFFSET 0\
"""

HEAD = """\
SELECT events.number, events.hash
FROM events
WHERE events.number = (SELECT max(events.number) AS max_1
FROM events)\
"""

FIRST = """\
SELECT min(events.number) AS min_1
FROM events\
"""

SINCE = """\
SELECT min(events.number) AS min_1
FROM events
WHERE events.at >= :at\
"""

RECORD_LISTING = """\
SELECT events.number, events.document, events.hash
FROM events
WHERE {where} ORDER BY events.number
 LIMIT :size OFFSET 0\
"""

AFTER_NUMBER = """\
events.number > :after\
"""

UNTIL_NUMBER = """\
events.number <= :until\
"""

DELETE = """\
DELETE FROM events WHERE events.number <= :until\
"""

KEEP = """\
INSERT INTO checkpoints (number, at, token) VALUES (:number, :at, :token)\
"""

CHECKPOINT_LISTING = """\
SELECT checkpoints.number, checkpoints.at, checkpoints.token
FROM checkpoints
WHERE {where} ORDER BY checkpoints.number
 LIMIT :size OFFSET 0\
"""

CHECKPOINT_AFTER = """\
checkpoints.number > :after\
"""

CHECKPOINT_BEFORE = """\
SELECT checkpoints.number, checkpoints.at, checkpoints.token
FROM checkpoints
WHERE checkpoints.number <= :until ORDER BY checkpoints.number DESC
 LIMIT 1 OFFSET 0\
"""

FORGET = """\
DELETE FROM checkpoints WHERE checkpoints.number < :before\
"""
