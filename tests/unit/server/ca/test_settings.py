import re

import pytest

from assay_server.ca import CaSettings

DAY = 24 * 3600


def warnings(ca_ttl: int, svid_ttl: int) -> list[str]:
    return CaSettings(ttl=ca_ttl, svid_ttls=(("agent_ttl", 1), ("default_x509_svid_ttl", svid_ttl))).warnings()


@pytest.mark.parametrize(
    ("ca_ttl", "svid_ttl", "words"),
    [
        (DAY, 4 * 3600 + 1, r"default_x509_svid_ttl is too high for the configured ca_ttl value\. .* to 4h or less"),
        (DAY, 5 * 3600, r"or the ca_ttl to 30h or more, to guarantee the full default_x509_svid_ttl lifetime"),
        (60 * DAY, 7 * DAY + 1, r"default_x509_svid_ttl is too high\. .* to 168h or less"),
        (90 * 60, 3600, r"to 15m or less, or the ca_ttl to 6h or more"),
    ],
)
def test_lifetimes_that_rotation_can_cut_are_warned_about(ca_ttl: int, svid_ttl: int, words: str) -> None:
    (warning,) = warnings(ca_ttl, svid_ttl)
    assert re.search(words, warning)


@pytest.mark.parametrize(("ca_ttl", "svid_ttl"), [(DAY, 4 * 3600), (60 * DAY, 7 * DAY), (DAY, 60)])
def test_lifetimes_that_hold_are_not(ca_ttl: int, svid_ttl: int) -> None:
    assert warnings(ca_ttl, svid_ttl) == []
