"""Written by `make sql` from bundles.py in ../statements; change it there."""

BY_NAME = """\
SELECT bundles.position, bundles.trust_domain, bundles.refresh_hint, bundles.sequence, bundles.authorities
FROM bundles
WHERE bundles.trust_domain = :wanted\
"""

BY_NAMES = """\
SELECT bundles.position, bundles.trust_domain, bundles.refresh_hint, bundles.sequence, bundles.authorities
FROM bundles
WHERE bundles.trust_domain IN (SELECT listed.value
FROM json_each(:wanted) AS listed) ORDER BY bundles.position\
"""

LISTING = """\
SELECT bundles.position, bundles.trust_domain, bundles.refresh_hint, bundles.sequence, bundles.authorities
FROM bundles
WHERE {where} ORDER BY bundles.position
 LIMIT :size OFFSET 0\
"""

AFTER = """\
bundles.position > :after\
"""

COUNT = """\
SELECT count(*) AS count_1
FROM bundles\
"""

FEDERATED_ENTRIES = """\
SELECT count(*) AS count_1
FROM entry_federates_with
WHERE entry_federates_with.trust_domain = :wanted\
"""

INSERT = """\
INSERT INTO bundles (position, trust_domain, refresh_hint, sequence, authorities) VALUES (:position, :trust_domain, :refresh_hint, :sequence, :authorities)\
"""

UPDATE = """\
UPDATE bundles SET refresh_hint=:refresh_hint, sequence=:sequence, authorities=:authorities WHERE bundles.trust_domain = :wanted\
"""

DELETE = """\
DELETE FROM bundles WHERE bundles.trust_domain = :wanted\
"""
