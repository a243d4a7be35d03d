"""py-spiffe's sources against the real daemons: what comes first, and a change that is pushed."""

import threading

from spiffe import JwtSource, JwtSvid, SpiffeId, TrustDomain, X509Source

from assay.testing.deployment import Deployment

PATIENCE = 60.0


def test_sources_get_what_is_there_and_each_change(deployment: Deployment) -> None:
    entry = deployment.register("/first")
    with X509Source(socket_path=deployment.endpoint, timeout_in_seconds=PATIENCE) as source:
        assert source.get_x509_context().default_svid.spiffe_id == SpiffeId("spiffe://example.test/first")
        changed = threading.Event()
        source.subscribe_for_updates(changed.set)
        deployment.operator.delete(entry)
        deployment.register("/second")
        assert changed.wait(PATIENCE)
    with JwtSource(socket_path=deployment.endpoint, timeout_in_seconds=PATIENCE) as jwts:
        token = jwts.fetch_svid({"billing"}).token
        bundle = jwts.get_bundle_for_trust_domain(TrustDomain("example.test"))
        assert bundle is not None
        checked = JwtSvid.parse_and_validate(token, bundle, {"billing"})
    assert checked.spiffe_id == SpiffeId("spiffe://example.test/second")
