from dataclasses import replace
from pathlib import Path

import pytest

from assay.config.document import Document
from assay.config.plugin import Plugin
from assay.spiffeid import TrustDomain
from assay_server.config import ServerConfig
from assay_server.config.ttl import ttl_warnings

DOCUMENT = Document("f", {}, {("server", "agent_ttl"): 7})


def warnings(**ttls: int) -> list[str]:
    config = ServerConfig(
        trust_domain=TrustDomain("a"), data_dir=Path(), datastore_path=Path("x"), key_manager=Plugin("memory")
    )
    for key, ttl in ttls.items():
        config = replace(config, **{key: ttl})  # type: ignore[arg-type]
    return [str(one) for one in ttl_warnings(DOCUMENT, config)]


@pytest.mark.parametrize(
    "ttls",
    [
        {},
        {"ca_ttl": 6 * 3600},
        {"ca_ttl": 365 * 86400, "default_x509_svid_ttl": 7 * 86400},
    ],
)
def test_lifetimes_that_can_be_kept_are_not_mentioned(ttls: dict[str, int]) -> None:
    assert warnings(**ttls) == []


def test_a_lifetime_that_needs_a_longer_lived_ca() -> None:
    (warning,) = warnings(ca_ttl=3600, default_x509_svid_ttl=600, default_jwt_svid_ttl=600, agent_ttl=601)
    assert warning == (
        "f:7: server.agent_ttl: 10m1s is too high for ca_ttl 1h: SVIDs may be shorter; "
        "set it to 10m or less, or ca_ttl to 1h6s or more"
    )


def test_a_lifetime_that_no_ca_can_keep() -> None:
    (warning,) = warnings(ca_ttl=3650 * 86400, default_x509_svid_ttl=8 * 86400)
    assert warning.endswith("set it to 168h or less")
