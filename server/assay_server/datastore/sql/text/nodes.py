"""Written by `make sql` from nodes.py in ../statements; change it there."""

BY_ID = """\
SELECT nodes.position, nodes.spiffe_id, nodes.attestation_type, nodes.serial, nodes.expires_at, nodes.new_serial, nodes.new_expires_at, nodes.can_reattest, nodes.agent_version
FROM nodes
WHERE nodes.spiffe_id = :wanted\
"""

POSITION = """\
SELECT nodes.position
FROM nodes
WHERE nodes.spiffe_id = :wanted\
"""

INSERT = """\
INSERT INTO nodes (position, spiffe_id, attestation_type, serial, expires_at, new_serial, new_expires_at, can_reattest, agent_version) VALUES (:position, :spiffe_id, :attestation_type, :serial, :expires_at, :new_serial, :new_expires_at, :can_reattest, :agent_version)\
"""

UPDATE = """\
UPDATE nodes SET attestation_type=:attestation_type, serial=:serial, expires_at=:expires_at, new_serial=:new_serial, new_expires_at=:new_expires_at, can_reattest=:can_reattest, agent_version=:agent_version WHERE nodes.position = :at_position\
"""

DELETE = """\
DELETE FROM nodes WHERE nodes.position = :at_position\
"""

LISTING = """\
SELECT nodes.position, nodes.spiffe_id, nodes.attestation_type, nodes.serial, nodes.expires_at, nodes.new_serial, nodes.new_expires_at, nodes.can_reattest, nodes.agent_version
FROM nodes
WHERE {where} ORDER BY nodes.position
 LIMIT :size OFFSET 0\
"""

COUNT = """\
SELECT count(*) AS count_1
FROM nodes
WHERE {where}\
"""

AFTER = """\
nodes.position > :after\
"""

OF_ATTESTATION_TYPE = """\
nodes.attestation_type = :attestation_type\
"""

BANNED = """\
nodes.serial = '' AND nodes.new_serial = ''\
"""

NOT_BANNED = """\
NOT (nodes.serial = '' AND nodes.new_serial = '')\
"""

OF_CAN_REATTEST = """\
nodes.can_reattest = :can_reattest\
"""

EXPIRES_BEFORE = """\
nodes.expires_at < :expires_before\
"""

OF_SELECTORS = {
'EXACT': """\
nodes.position IN (SELECT node_selectors.node
FROM node_selectors
WHERE (node_selectors.type, node_selectors.value) IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed) AND node_selectors.node > :after GROUP BY node_selectors.node
HAVING count(*) = :selectors_size) AND NOT (EXISTS (SELECT 1
FROM node_selectors
WHERE node_selectors.node = nodes.position AND ((node_selectors.type, node_selectors.value) NOT IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed))))\
""",
'SUBSET': """\
nodes.position IN (SELECT node_selectors.node
FROM node_selectors
WHERE (node_selectors.type, node_selectors.value) IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed) AND node_selectors.node > :after) AND NOT (EXISTS (SELECT 1
FROM node_selectors
WHERE node_selectors.node = nodes.position AND ((node_selectors.type, node_selectors.value) NOT IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed))))\
""",
'SUPERSET': """\
nodes.position IN (SELECT node_selectors.node
FROM node_selectors
WHERE (node_selectors.type, node_selectors.value) IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed) AND node_selectors.node > :after GROUP BY node_selectors.node
HAVING count(*) = :selectors_size)\
""",
'ANY': """\
nodes.position IN (SELECT node_selectors.node
FROM node_selectors
WHERE (node_selectors.type, node_selectors.value) IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed) AND node_selectors.node > :after)\
""",
}

SELECTORS = """\
SELECT node_selectors.node, node_selectors.type, node_selectors.value
FROM node_selectors
WHERE node_selectors.node IN (SELECT listed.value
FROM json_each(:owners) AS listed) ORDER BY node_selectors.node, node_selectors.type, node_selectors.value\
"""

SELECTORS_BETWEEN = """\
SELECT node_selectors.node, node_selectors.type, node_selectors.value
FROM node_selectors
WHERE node_selectors.node BETWEEN :first AND :last ORDER BY node_selectors.node, node_selectors.type, node_selectors.value\
"""

INSERT_SELECTOR = """\
INSERT INTO node_selectors (node, type, value) VALUES (:node, :type, :value)\
"""

DELETE_SELECTORS = """\
DELETE FROM node_selectors WHERE node_selectors.node = :at_position\
"""
