"""The claims of task tokens, all names in one place: drafts that they come from may still rename them.

Every token says which version of this profile it follows.
"""

PROFILE = "assay-task-1"

PROFILE_CLAIM = "profile"
ACTOR = "act"  # RFC 8693 section 4.1
ACTOR_TYPE = "sub_profile"  # draft-mora-oauth-entity-profiles
CLIENT_ID = "client_id"  # RFC 8693 section 4.3
INSTANCE = "agent_instance_id"  # AI agent instance profile
MODEL = "agent_model"
MISSION = "mission"  # draft-mcguinness-oauth-mission, of August 2026: id, issuer, authority_hash
MISSION_ID, MISSION_ISSUER, MISSION_AUTHORITY = "id", "issuer", "authority_hash"
DETAILS = "authorization_details"  # RFC 9396 section 9.1
CONFIRMATION = "cnf"  # RFC 7800
CERTIFICATE_THUMBPRINT = "x5t#S256"  # RFC 8705 section 3.1
KEY_THUMBPRINT = "jkt"  # RFC 9449 section 6.1
TRANSACTION = "txn"
TENANT = "tenant"
ENVIRONMENT = "environment"
DECISION = "decision_id"
STATUS = "status"  # draft-ietf-oauth-status-list: {"status_list": {"idx", "uri"}}
ACTION_CLASSES = "action_classes"  # the catalogue's class of each action in the token
