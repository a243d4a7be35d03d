"""Federation relationships, a row each."""

from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.datastore.base import ChangeKind, Page
from assay_server.datastore.sql.changes import SqlChanges
from assay_server.datastore.sql.connection import Connection, Row
from assay_server.datastore.sql.filters import page_of
from assay_server.datastore.sql.text import federation as sql
from assay_server.model import EndpointProfile, FederationRelationship, HttpsSpiffeProfile, HttpsWebProfile

_WEB, _SPIFFE = "https_web", "https_spiffe"


class SqlFederationRelationships:
    """Implements base.FederationRelationships."""

    def __init__(self, connection: Connection, changes: SqlChanges) -> None:
        self._connection = connection
        self._changes = changes

    def get(self, trust_domain: TrustDomain) -> FederationRelationship | None:
        """The relationship with that trust domain."""
        row = self._connection.row(sql.BY_NAME, {"wanted": trust_domain.name})
        return _relationship(row) if row else None

    def find(self, page: Page) -> tuple[list[FederationRelationship], str]:
        """Relationships in order of creation, and the token of the next page (empty at the end)."""
        rows, token = page_of(self._connection, sql.LISTING, sql.AFTER, (), page)
        return [_relationship(row) for row in rows], token

    def put(self, relationship: FederationRelationship) -> None:
        """Create or replace."""
        name = relationship.trust_domain.name
        position = self._changes.append(ChangeKind.FEDERATION_RELATIONSHIP, name)
        contents = {
            "bundle_endpoint_url": relationship.bundle_endpoint_url,
            **_profile_columns(relationship.bundle_endpoint_profile),
        }
        if not self._connection.run(sql.UPDATE, {"wanted": name, **contents}):
            self._connection.run(sql.INSERT, {"position": position, "trust_domain": name, **contents})

    def delete(self, trust_domain: TrustDomain) -> bool:
        """Whether there was one; the trust domain's bundle stays."""
        deleted = self._connection.run(sql.DELETE, {"wanted": trust_domain.name})
        if deleted:
            self._changes.append(ChangeKind.FEDERATION_RELATIONSHIP, trust_domain.name)
        return bool(deleted)


def _profile_columns(profile: EndpointProfile) -> dict[str, str]:
    if isinstance(profile, HttpsSpiffeProfile):
        return {"bundle_endpoint_profile": _SPIFFE, "endpoint_spiffe_id": str(profile.endpoint_spiffe_id)}
    return {"bundle_endpoint_profile": _WEB, "endpoint_spiffe_id": ""}


def _relationship(row: Row) -> FederationRelationship:
    _, trust_domain, url, profile, endpoint_id = row
    return FederationRelationship(
        TrustDomain(trust_domain),
        url,
        HttpsSpiffeProfile(SpiffeId.parse(endpoint_id)) if profile == _SPIFFE else HttpsWebProfile(),
    )
