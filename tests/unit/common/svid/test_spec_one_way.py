"""Trust between domains has a direction."""

import pytest

from assay.errors import UnauthenticatedError
from assay.svid import jwt, x509
from assay.testing.authority import Authority
from assay.testing.clock import START


@pytest.mark.spec("FED-6-a")
def test_who_is_trusted_does_not_trust_back() -> None:
    here, there = Authority("here.test"), Authority("there.test")
    ours = {here.trust_domain: here.bundle, there.trust_domain: there.bundle}
    theirs = {there.trust_domain: there.bundle}
    assert x509.verify(there.x509_svid().chain, ours, START) == there.id("/workload")
    assert jwt.verify(there.jwt_svid(), ours, "audience", START).spiffe_id == there.id("/workload")
    with pytest.raises(UnauthenticatedError, match=r"no X\.509 bundle found"):
        x509.verify(here.x509_svid().chain, theirs, START)
    with pytest.raises(UnauthenticatedError, match="no keys found"):
        jwt.verify(here.jwt_svid(), theirs, "audience", START)
