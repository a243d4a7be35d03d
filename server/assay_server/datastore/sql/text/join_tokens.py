"""Written by `make sql` from join_tokens.py in ../statements; change it there."""

INSERT = """\
INSERT INTO join_tokens (value, expires_at) VALUES (:value, :expires_at)\
"""

GET = """\
SELECT join_tokens.value, join_tokens.expires_at
FROM join_tokens
WHERE join_tokens.value = :wanted\
"""

DELETE = """\
DELETE FROM join_tokens WHERE join_tokens.value = :wanted\
"""

PRUNE = """\
DELETE FROM join_tokens WHERE join_tokens.expires_at < :until\
"""
