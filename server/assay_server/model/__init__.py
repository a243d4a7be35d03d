"""What the server remembers, as plain values; entries and bundles are in `assay`, which agents share."""

from assay_server.model.authority import AuthorityKind, AuthorityRecord, AuthorityStatus, Slot
from assay_server.model.federation import EndpointProfile, FederationRelationship, HttpsSpiffeProfile, HttpsWebProfile
from assay_server.model.node import JoinToken, Node

__all__ = [
    "AuthorityKind",
    "AuthorityRecord",
    "AuthorityStatus",
    "EndpointProfile",
    "FederationRelationship",
    "HttpsSpiffeProfile",
    "HttpsWebProfile",
    "JoinToken",
    "Node",
    "Slot",
]
