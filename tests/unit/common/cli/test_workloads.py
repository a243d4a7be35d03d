"""How the Workload API's answers are printed."""

import pytest

from assay.cli.workloads import print_x509
from assay.testing.authority import Authority
from assay.workloadapi.values import HintedX509Svid, X509Context


def test_the_cas_of_others_are_marked_with_their_id_as_spire_does(capsys: pytest.CaptureFixture[str]) -> None:
    own, friend = Authority("example.org"), Authority("friend.test")
    bundles = {one.trust_domain: (one.root.der,) for one in (own, friend)}
    print_x509(X509Context((HintedX509Svid(own.x509_svid()),), bundles), 0.001)
    out = capsys.readouterr().out
    assert "\nCA #1 Valid After:\t" in out
    assert "\n[spiffe://friend.test] CA #1 Valid After:\t" in out
