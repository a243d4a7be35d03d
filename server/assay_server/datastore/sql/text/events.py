"""Written by `make sql` from events.py in ../statements; change it there."""

INSERT = """\
INSERT INTO events (position, at, type, task_id, principal, document) VALUES (:position, :at, :type, :task_id, :principal, :document)\
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
