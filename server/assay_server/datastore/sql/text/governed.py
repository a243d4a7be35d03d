"""Written by `make sql` from governed.py in ../statements; change it there."""

BY_NAME = """\
SELECT governed.position, governed.due, governed.document
FROM governed
WHERE governed.kind = :kind AND governed.name = :name\
"""

LISTING = """\
SELECT governed.position, governed.document
FROM governed
WHERE {where} ORDER BY governed.position
 LIMIT :size OFFSET 0\
"""

LATEST_LISTING = """\
SELECT governed.position, governed.document
FROM governed
WHERE {where} ORDER BY governed.position DESC
 LIMIT :size OFFSET 0\
"""

COUNT = """\
SELECT count(*) AS count_1
FROM governed
WHERE {where}\
"""

AFTER = """\
governed.position > :after\
"""

OF_KIND = """\
governed.kind = :kind\
"""

OF_TERM = """\
governed.position IN (SELECT governed_terms.governed
FROM governed_terms
WHERE governed_terms.kind = :kind AND governed_terms.term = :term_N AND governed_terms.value = :value_N)\
"""

OF_TERM_TOO = """\
EXISTS (SELECT 1
FROM governed_terms
WHERE governed_terms.kind = :kind AND governed_terms.term = :term_N AND governed_terms.value = :value_N AND governed_terms.governed = governed.position)\
"""

DUE_AFTER = """\
governed.due > 0 AND governed.due > :due_after\
"""

DUE = """\
SELECT governed.document
FROM governed
WHERE governed.kind = :kind AND governed.due > 0 AND governed.due <= :now ORDER BY governed.due
 LIMIT :most OFFSET 0\
"""

INSERT = """\
INSERT INTO governed (position, kind, name, due, document) VALUES (:position, :kind, :name, :due, :document)\
"""

UPDATE = """\
UPDATE governed SET due=:due, document=:document WHERE governed.position = :at_position\
"""

UPDATE_DOCUMENT = """\
UPDATE governed SET document=:document WHERE governed.position = :at_position\
"""

DELETE = """\
DELETE FROM governed WHERE governed.kind = :kind AND governed.name = :name\
"""

TERMS = """\
SELECT governed_terms.term, governed_terms.value
FROM governed_terms
WHERE governed_terms.governed = :governed\
"""

INSERT_TERM = """\
INSERT INTO governed_terms (kind, term, value, governed) VALUES (:kind, :term, :value, :governed)\
"""

DELETE_TERM = """\
DELETE FROM governed_terms WHERE governed_terms.kind = :kind AND governed_terms.term = :term AND governed_terms.value = :value AND governed_terms.governed = :governed\
"""
