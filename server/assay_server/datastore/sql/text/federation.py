"""Written by `make sql` from federation.py in ../statements; change it there."""

BY_NAME = """\
SELECT federation_relationships.position, federation_relationships.trust_domain, federation_relationships.bundle_endpoint_url, federation_relationships.bundle_endpoint_profile, federation_relationships.endpoint_spiffe_id
FROM federation_relationships
WHERE federation_relationships.trust_domain = :wanted\
"""

LISTING = """\
SELECT federation_relationships.position, federation_relationships.trust_domain, federation_relationships.bundle_endpoint_url, federation_relationships.bundle_endpoint_profile, federation_relationships.endpoint_spiffe_id
FROM federation_relationships
WHERE {where} ORDER BY federation_relationships.position
 LIMIT :size OFFSET 0\
"""

AFTER = """\
federation_relationships.position > :after\
"""

INSERT = """\
INSERT INTO federation_relationships (position, trust_domain, bundle_endpoint_url, bundle_endpoint_profile, endpoint_spiffe_id) VALUES (:position, :trust_domain, :bundle_endpoint_url, :bundle_endpoint_profile, :endpoint_spiffe_id)\
"""

UPDATE = """\
UPDATE federation_relationships SET bundle_endpoint_url=:bundle_endpoint_url, bundle_endpoint_profile=:bundle_endpoint_profile, endpoint_spiffe_id=:endpoint_spiffe_id WHERE federation_relationships.trust_domain = :wanted\
"""

DELETE = """\
DELETE FROM federation_relationships WHERE federation_relationships.trust_domain = :wanted\
"""
