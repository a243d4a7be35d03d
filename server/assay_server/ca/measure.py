"""What is measured of the CA; SPIRE's names."""

from collections.abc import Mapping
from datetime import datetime

from assay.spiffeid import TrustDomain
from assay.telemetry.metrics import Metrics
from assay_server.model import AuthorityKind, AuthorityRecord

KEYS: Mapping[AuthorityKind, str] = {
    AuthorityKind.X509: "x509_ca",
    AuthorityKind.JWT: "jwt_key",
    AuthorityKind.WIT: "wit_key",
}

PRUNE = ("ca", "manager", "bundle", "prune")
PRUNED = ("ca", "manager", "bundle", "pruned")


def count_activated(metrics: Metrics, record: AuthorityRecord, now: datetime, trust_domain: TrustDomain) -> None:
    """An authority has begun to sign; of an X.509 CA also until when it may."""
    if record.kind is not AuthorityKind.X509:
        metrics.count(("manager", KEYS[record.kind], "activate"))
        return
    metrics.count(("ca", "manager", "x509_ca", "activate"))
    labels = (("trust_domain_id", trust_domain.name),)
    metrics.gauge(("manager", "x509_ca", "rotate", "expiration"), record.not_after, labels)
    metrics.gauge(("manager", "x509_ca", "rotate", "ttl"), record.not_after - now.timestamp(), labels)
