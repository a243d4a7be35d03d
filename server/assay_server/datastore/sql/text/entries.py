"""Written by `make sql` from entries.py in ../statements; change it there."""

BY_ID = """\
SELECT entries.position, entries.entry_id, entries.spiffe_id, entries.parent_id, entries.x509_svid_ttl, entries.jwt_svid_ttl, entries.hint, entries.admin, entries.downstream, entries.store_svid, entries.disable_x509_svid_prefetch, entries.jwt_svid_include_jti, entries.expires_at, entries.revision, entries.created_at
FROM entries
WHERE entries.entry_id = :wanted\
"""

BY_IDS = """\
SELECT entries.position, entries.entry_id, entries.spiffe_id, entries.parent_id, entries.x509_svid_ttl, entries.jwt_svid_ttl, entries.hint, entries.admin, entries.downstream, entries.store_svid, entries.disable_x509_svid_prefetch, entries.jwt_svid_include_jti, entries.expires_at, entries.revision, entries.created_at
FROM entries
WHERE entries.entry_id IN (SELECT listed.value
FROM json_each(:wanted) AS listed) ORDER BY entries.position\
"""

BY_LIKENESS = """\
SELECT entries.position, entries.entry_id, entries.spiffe_id, entries.parent_id, entries.x509_svid_ttl, entries.jwt_svid_ttl, entries.hint, entries.admin, entries.downstream, entries.store_svid, entries.disable_x509_svid_prefetch, entries.jwt_svid_include_jti, entries.expires_at, entries.revision, entries.created_at
FROM entries
WHERE entries.spiffe_id = :spiffe_id AND entries.likeness = :wanted ORDER BY entries.position\
"""

BY_SPIFFE_ID = """\
SELECT entries.position, entries.entry_id, entries.spiffe_id, entries.parent_id, entries.x509_svid_ttl, entries.jwt_svid_ttl, entries.hint, entries.admin, entries.downstream, entries.store_svid, entries.disable_x509_svid_prefetch, entries.jwt_svid_include_jti, entries.expires_at, entries.revision, entries.created_at
FROM entries
WHERE entries.spiffe_id = :wanted ORDER BY entries.position\
"""

BY_PARENTS = """\
SELECT entries.position, entries.entry_id, entries.spiffe_id, entries.parent_id, entries.x509_svid_ttl, entries.jwt_svid_ttl, entries.hint, entries.admin, entries.downstream, entries.store_svid, entries.disable_x509_svid_prefetch, entries.jwt_svid_include_jti, entries.expires_at, entries.revision, entries.created_at
FROM entries
WHERE entries.parent_id IN (SELECT listed.value
FROM json_each(:wanted) AS listed) ORDER BY entries.position\
"""

FEDERATED = """\
SELECT entries.position, entries.entry_id, entries.spiffe_id, entries.parent_id, entries.x509_svid_ttl, entries.jwt_svid_ttl, entries.hint, entries.admin, entries.downstream, entries.store_svid, entries.disable_x509_svid_prefetch, entries.jwt_svid_include_jti, entries.expires_at, entries.revision, entries.created_at
FROM entries JOIN entry_federates_with ON entry_federates_with.entry = entries.position
WHERE entry_federates_with.trust_domain = :wanted ORDER BY entries.position\
"""

OF_PRINCIPAL = """\
SELECT entries.position, entries.entry_id, entries.spiffe_id, entries.parent_id, entries.x509_svid_ttl, entries.jwt_svid_ttl, entries.hint, entries.admin, entries.downstream, entries.store_svid, entries.disable_x509_svid_prefetch, entries.jwt_svid_include_jti, entries.expires_at, entries.revision, entries.created_at
FROM entries JOIN entry_bindings ON entry_bindings.entry = entries.position
WHERE entry_bindings.principal = :wanted ORDER BY entries.position\
"""

BINDING = """\
SELECT entries.position, entries.entry_id, entries.spiffe_id, entries.parent_id, entries.x509_svid_ttl, entries.jwt_svid_ttl, entries.hint, entries.admin, entries.downstream, entries.store_svid, entries.disable_x509_svid_prefetch, entries.jwt_svid_include_jti, entries.expires_at, entries.revision, entries.created_at
FROM entries JOIN entry_bindings ON entry_bindings.entry = entries.position
WHERE entries.entry_id = :wanted ORDER BY entries.position\
"""

ANY_BINDING = """\
SELECT entry_bindings.entry
FROM entry_bindings
 LIMIT 1 OFFSET 0\
"""

BINDINGS_AT = """\
SELECT entries.position, entries.entry_id, entries.spiffe_id, entries.parent_id, entries.x509_svid_ttl, entries.jwt_svid_ttl, entries.hint, entries.admin, entries.downstream, entries.store_svid, entries.disable_x509_svid_prefetch, entries.jwt_svid_include_jti, entries.expires_at, entries.revision, entries.created_at
FROM entries JOIN entry_bindings ON entry_bindings.entry = entries.position
WHERE entries.spiffe_id IN (SELECT listed.value
FROM json_each(:wanted) AS listed) ORDER BY entries.position\
"""

PRINCIPALS_AT = """\
SELECT entry_bindings.principal
FROM entries JOIN entry_bindings ON entry_bindings.entry = entries.position
WHERE entry_bindings.withheld = 0 AND entries.spiffe_id = :wanted\
"""

PRINCIPAL_BY = """\
SELECT entry_bindings.principal
FROM entries JOIN entry_bindings ON entry_bindings.entry = entries.position
WHERE entry_bindings.withheld = 0 AND entries.entry_id = :wanted\
"""

EXPIRED = """\
SELECT entries.entry_id
FROM entries
WHERE entries.expires_at > 0 AND entries.expires_at <= :now ORDER BY entries.position\
"""

POSITION = """\
SELECT entries.position
FROM entries
WHERE entries.entry_id = :wanted\
"""

INSERT = """\
INSERT INTO entries (position, entry_id, spiffe_id, parent_id, likeness, x509_svid_ttl, jwt_svid_ttl, hint, admin, downstream, store_svid, disable_x509_svid_prefetch, jwt_svid_include_jti, expires_at, revision, created_at) VALUES (:position, :entry_id, :spiffe_id, :parent_id, :likeness, :x509_svid_ttl, :jwt_svid_ttl, :hint, :admin, :downstream, :store_svid, :disable_x509_svid_prefetch, :jwt_svid_include_jti, :expires_at, :revision, :created_at)\
"""

UPDATE = """\
UPDATE entries SET spiffe_id=:spiffe_id, parent_id=:parent_id, likeness=:likeness, x509_svid_ttl=:x509_svid_ttl, jwt_svid_ttl=:jwt_svid_ttl, hint=:hint, admin=:admin, downstream=:downstream, store_svid=:store_svid, disable_x509_svid_prefetch=:disable_x509_svid_prefetch, jwt_svid_include_jti=:jwt_svid_include_jti, expires_at=:expires_at, revision=:revision, created_at=:created_at WHERE entries.position = :at_position\
"""

UPDATE_UNINDEXED = """\
UPDATE entries SET x509_svid_ttl=:x509_svid_ttl, jwt_svid_ttl=:jwt_svid_ttl, admin=:admin, store_svid=:store_svid, disable_x509_svid_prefetch=:disable_x509_svid_prefetch, jwt_svid_include_jti=:jwt_svid_include_jti, revision=:revision, created_at=:created_at WHERE entries.position = :at_position\
"""

DELETE = """\
DELETE FROM entries WHERE entries.position = :at_position\
"""

LISTING = """\
SELECT entries.position, entries.entry_id, entries.spiffe_id, entries.parent_id, entries.x509_svid_ttl, entries.jwt_svid_ttl, entries.hint, entries.admin, entries.downstream, entries.store_svid, entries.disable_x509_svid_prefetch, entries.jwt_svid_include_jti, entries.expires_at, entries.revision, entries.created_at
FROM entries
WHERE {where} ORDER BY entries.position
 LIMIT :size OFFSET 0\
"""

COUNT = """\
SELECT count(*) AS count_1
FROM entries
WHERE {where}\
"""

AFTER = """\
entries.position > :after\
"""

OF_SPIFFE_ID = """\
entries.spiffe_id = :spiffe_id\
"""

OF_PARENT_ID = """\
entries.parent_id = :parent_id\
"""

OF_HINT = """\
entries.hint = :hint\
"""

OF_DOWNSTREAM = """\
entries.downstream = :downstream\
"""

UP_TO = """\
SELECT count(*) AS count_1
FROM (SELECT 1
FROM entries
WHERE {where} = 1
 LIMIT :most OFFSET 0) AS some\
"""

OF_SELECTORS = {
'EXACT': """\
entries.position IN (SELECT entry_selectors.entry
FROM entry_selectors
WHERE (entry_selectors.type, entry_selectors.value) IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed) AND entry_selectors.entry > :after GROUP BY entry_selectors.entry
HAVING count(*) = :selectors_size) AND NOT (EXISTS (SELECT 1
FROM entry_selectors
WHERE entry_selectors.entry = entries.position AND ((entry_selectors.type, entry_selectors.value) NOT IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed))))\
""",
'SUBSET': """\
entries.position IN (SELECT entry_selectors.entry
FROM entry_selectors
WHERE (entry_selectors.type, entry_selectors.value) IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed) AND entry_selectors.entry > :after) AND NOT (EXISTS (SELECT 1
FROM entry_selectors
WHERE entry_selectors.entry = entries.position AND ((entry_selectors.type, entry_selectors.value) NOT IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed))))\
""",
'SUPERSET': """\
entries.position IN (SELECT entry_selectors.entry
FROM entry_selectors
WHERE (entry_selectors.type, entry_selectors.value) IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed) AND entry_selectors.entry > :after GROUP BY entry_selectors.entry
HAVING count(*) = :selectors_size)\
""",
'ANY': """\
entries.position IN (SELECT entry_selectors.entry
FROM entry_selectors
WHERE (entry_selectors.type, entry_selectors.value) IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed) AND entry_selectors.entry > :after)\
""",
}

CHECK_SELECTORS = {
'EXACT': """\
(SELECT count(*) AS count_1
FROM entry_selectors
WHERE entry_selectors.entry = entries.position AND (entry_selectors.type, entry_selectors.value) IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed)) = :selectors_size AND NOT (EXISTS (SELECT 1
FROM entry_selectors
WHERE entry_selectors.entry = entries.position AND ((entry_selectors.type, entry_selectors.value) NOT IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed))))\
""",
'SUBSET': """\
(EXISTS (SELECT 1
FROM entry_selectors
WHERE entry_selectors.entry = entries.position AND (entry_selectors.type, entry_selectors.value) IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed))) AND NOT (EXISTS (SELECT 1
FROM entry_selectors
WHERE entry_selectors.entry = entries.position AND ((entry_selectors.type, entry_selectors.value) NOT IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed))))\
""",
'SUPERSET': """\
(SELECT count(*) AS count_1
FROM entry_selectors
WHERE entry_selectors.entry = entries.position AND (entry_selectors.type, entry_selectors.value) IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed)) = :selectors_size\
""",
'ANY': """\
EXISTS (SELECT 1
FROM entry_selectors
WHERE entry_selectors.entry = entries.position AND (entry_selectors.type, entry_selectors.value) IN (SELECT json_extract(listed.value, '$[0]') AS type, json_extract(listed.value, '$[1]') AS value
FROM json_each(:selectors) AS listed))\
""",
}

OF_FEDERATION = {
'EXACT': """\
entries.position IN (SELECT entry_federates_with.entry
FROM entry_federates_with
WHERE entry_federates_with.trust_domain IN (SELECT listed.value
FROM json_each(:trust_domains) AS listed) AND entry_federates_with.entry > :after GROUP BY entry_federates_with.entry
HAVING count(*) = :trust_domains_size) AND NOT (EXISTS (SELECT 1
FROM entry_federates_with
WHERE entry_federates_with.entry = entries.position AND (entry_federates_with.trust_domain NOT IN (SELECT listed.value
FROM json_each(:trust_domains) AS listed))))\
""",
'SUBSET': """\
entries.position IN (SELECT entry_federates_with.entry
FROM entry_federates_with
WHERE entry_federates_with.trust_domain IN (SELECT listed.value
FROM json_each(:trust_domains) AS listed) AND entry_federates_with.entry > :after) AND NOT (EXISTS (SELECT 1
FROM entry_federates_with
WHERE entry_federates_with.entry = entries.position AND (entry_federates_with.trust_domain NOT IN (SELECT listed.value
FROM json_each(:trust_domains) AS listed))))\
""",
'SUPERSET': """\
entries.position IN (SELECT entry_federates_with.entry
FROM entry_federates_with
WHERE entry_federates_with.trust_domain IN (SELECT listed.value
FROM json_each(:trust_domains) AS listed) AND entry_federates_with.entry > :after GROUP BY entry_federates_with.entry
HAVING count(*) = :trust_domains_size)\
""",
'ANY': """\
entries.position IN (SELECT entry_federates_with.entry
FROM entry_federates_with
WHERE entry_federates_with.trust_domain IN (SELECT listed.value
FROM json_each(:trust_domains) AS listed) AND entry_federates_with.entry > :after)\
""",
}

CHECK_FEDERATION = {
'EXACT': """\
(SELECT count(*) AS count_1
FROM entry_federates_with
WHERE entry_federates_with.entry = entries.position AND entry_federates_with.trust_domain IN (SELECT listed.value
FROM json_each(:trust_domains) AS listed)) = :trust_domains_size AND NOT (EXISTS (SELECT 1
FROM entry_federates_with
WHERE entry_federates_with.entry = entries.position AND (entry_federates_with.trust_domain NOT IN (SELECT listed.value
FROM json_each(:trust_domains) AS listed))))\
""",
'SUBSET': """\
(EXISTS (SELECT 1
FROM entry_federates_with
WHERE entry_federates_with.entry = entries.position AND entry_federates_with.trust_domain IN (SELECT listed.value
FROM json_each(:trust_domains) AS listed))) AND NOT (EXISTS (SELECT 1
FROM entry_federates_with
WHERE entry_federates_with.entry = entries.position AND (entry_federates_with.trust_domain NOT IN (SELECT listed.value
FROM json_each(:trust_domains) AS listed))))\
""",
'SUPERSET': """\
(SELECT count(*) AS count_1
FROM entry_federates_with
WHERE entry_federates_with.entry = entries.position AND entry_federates_with.trust_domain IN (SELECT listed.value
FROM json_each(:trust_domains) AS listed)) = :trust_domains_size\
""",
'ANY': """\
EXISTS (SELECT 1
FROM entry_federates_with
WHERE entry_federates_with.entry = entries.position AND entry_federates_with.trust_domain IN (SELECT listed.value
FROM json_each(:trust_domains) AS listed))\
""",
}

LISTING_BY_SELECTOR = """\
SELECT entries.position, entries.entry_id, entries.spiffe_id, entries.parent_id, entries.x509_svid_ttl, entries.jwt_svid_ttl, entries.hint, entries.admin, entries.downstream, entries.store_svid, entries.disable_x509_svid_prefetch, entries.jwt_svid_include_jti, entries.expires_at, entries.revision, entries.created_at
FROM entry_selectors AS one JOIN entries ON one.entry = entries.position
WHERE one.type = :type AND one.value = :value AND one.entry > :after AND {where} ORDER BY one.entry
 LIMIT :size OFFSET 0\
"""

COUNT_BY_SELECTOR = """\
SELECT count(*) AS count_1
FROM entry_selectors AS one JOIN entries ON one.entry = entries.position
WHERE one.type = :type AND one.value = :value AND {where}\
"""

SELECTOR_UP_TO = """\
SELECT count(*) AS count_1
FROM (SELECT 1
FROM entry_selectors AS one
WHERE one.type = :type AND one.value = :value
 LIMIT :most OFFSET 0) AS some\
"""

LISTING_BY_TRUST_DOMAIN = """\
SELECT entries.position, entries.entry_id, entries.spiffe_id, entries.parent_id, entries.x509_svid_ttl, entries.jwt_svid_ttl, entries.hint, entries.admin, entries.downstream, entries.store_svid, entries.disable_x509_svid_prefetch, entries.jwt_svid_include_jti, entries.expires_at, entries.revision, entries.created_at
FROM entry_federates_with AS one JOIN entries ON one.entry = entries.position
WHERE one.trust_domain = :trust_domain AND one.entry > :after AND {where} ORDER BY one.entry
 LIMIT :size OFFSET 0\
"""

COUNT_BY_TRUST_DOMAIN = """\
SELECT count(*) AS count_1
FROM entry_federates_with AS one JOIN entries ON one.entry = entries.position
WHERE one.trust_domain = :trust_domain AND {where}\
"""

TRUST_DOMAIN_UP_TO = """\
SELECT count(*) AS count_1
FROM (SELECT 1
FROM entry_federates_with AS one
WHERE one.trust_domain = :trust_domain
 LIMIT :most OFFSET 0) AS some\
"""

SELECTORS = """\
SELECT entry_selectors.entry, entry_selectors.type, entry_selectors.value
FROM entry_selectors
WHERE entry_selectors.entry IN (SELECT listed.value
FROM json_each(:owners) AS listed) ORDER BY entry_selectors.entry, entry_selectors.type, entry_selectors.value\
"""

SELECTORS_BETWEEN = """\
SELECT entry_selectors.entry, entry_selectors.type, entry_selectors.value
FROM entry_selectors
WHERE entry_selectors.entry BETWEEN :first AND :last ORDER BY entry_selectors.entry, entry_selectors.type, entry_selectors.value\
"""

DNS_NAMES = """\
SELECT entry_dns_names.entry, entry_dns_names.name
FROM entry_dns_names
WHERE entry_dns_names.entry IN (SELECT listed.value
FROM json_each(:owners) AS listed) ORDER BY entry_dns_names.entry, entry_dns_names.rank\
"""

DNS_NAMES_BETWEEN = """\
SELECT entry_dns_names.entry, entry_dns_names.name
FROM entry_dns_names
WHERE entry_dns_names.entry BETWEEN :first AND :last ORDER BY entry_dns_names.entry, entry_dns_names.rank\
"""

FEDERATES_WITH = """\
SELECT entry_federates_with.entry, entry_federates_with.trust_domain
FROM entry_federates_with
WHERE entry_federates_with.entry IN (SELECT listed.value
FROM json_each(:owners) AS listed) ORDER BY entry_federates_with.entry, entry_federates_with.rank\
"""

FEDERATES_WITH_BETWEEN = """\
SELECT entry_federates_with.entry, entry_federates_with.trust_domain
FROM entry_federates_with
WHERE entry_federates_with.entry BETWEEN :first AND :last ORDER BY entry_federates_with.entry, entry_federates_with.rank\
"""

BINDINGS = """\
SELECT entry_bindings.entry, entry_bindings.principal, entry_bindings.instance_from, entry_bindings.withheld
FROM entry_bindings
WHERE entry_bindings.entry IN (SELECT listed.value
FROM json_each(:owners) AS listed) ORDER BY entry_bindings.entry\
"""

BINDINGS_BETWEEN = """\
SELECT entry_bindings.entry, entry_bindings.principal, entry_bindings.instance_from, entry_bindings.withheld
FROM entry_bindings
WHERE entry_bindings.entry BETWEEN :first AND :last ORDER BY entry_bindings.entry\
"""

KNOWN_BUNDLES = """\
SELECT bundles.trust_domain
FROM bundles
WHERE bundles.trust_domain IN (SELECT listed.value
FROM json_each(:wanted) AS listed)\
"""

INSERT_SELECTOR = """\
INSERT INTO entry_selectors (entry, type, value) VALUES (:entry, :type, :value)\
"""

INSERT_DNS_NAME = """\
INSERT INTO entry_dns_names (entry, rank, name) VALUES (:entry, :rank, :name)\
"""

INSERT_FEDERATES_WITH = """\
INSERT INTO entry_federates_with (entry, rank, trust_domain) VALUES (:entry, :rank, :trust_domain)\
"""

INSERT_BINDING = """\
INSERT INTO entry_bindings (entry, principal, instance_from, withheld) VALUES (:entry, :principal, :instance_from, :withheld)\
"""

DELETE_SELECTORS = """\
DELETE FROM entry_selectors WHERE entry_selectors.entry = :at_position\
"""

DELETE_DNS_NAMES = """\
DELETE FROM entry_dns_names WHERE entry_dns_names.entry = :at_position\
"""

DELETE_FEDERATES_WITH = """\
DELETE FROM entry_federates_with WHERE entry_federates_with.entry = :at_position\
"""

DELETE_BINDING = """\
DELETE FROM entry_bindings WHERE entry_bindings.entry = :at_position\
"""
