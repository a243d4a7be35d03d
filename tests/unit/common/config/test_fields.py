from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from assay.config import fields
from assay.keymanager.base import KeyType
from assay.spiffeid import SpiffeId, TrustDomain


@pytest.mark.parametrize(
    ("kind", "given", "value"),
    [
        (fields.Seconds, "1h", 3600),
        (fields.Seconds, "0", 0),
        (fields.PositiveSeconds, "1500ms1500ms", 3),
        (fields.FractionalSeconds, "500ms", 0.5),
        (fields.Port, "8081", 8081),
        (fields.Port, 65535, 65535),
        (fields.FilePath, "./a", Path("a")),
        (fields.Level, "WARN", "warning"),
        (fields.Level, "debug", "debug"),
        (fields.Level, "panic", "panic"),
        (fields.Format, "JSON", "json"),
        (fields.Format, "", "text"),
        (fields.DomainName, "example.org", TrustDomain("example.org")),
        (fields.DomainName, "spiffe://example.org", TrustDomain("example.org")),
        (fields.Identity, "spiffe://a/b", SpiffeId(TrustDomain("a"), "/b")),
        (fields.Texts, "x", ("x",)),
        (fields.Texts, ["x", "y"], ("x", "y")),
        (fields.Identities, "spiffe://a/b", (SpiffeId(TrustDomain("a"), "/b"),)),
        (fields.KeyTypeName, "EC-P384", KeyType.EC_P384),
        (fields.Networks, "10.1.2.3/8", (ip_network("10.0.0.0/8"),)),
        (
            fields.Networks,
            ["::ffff:10.0.0.0/104", "2001:db8::/32"],
            (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")),
        ),
    ],
)
def test_takes(kind: type, given: object, value: object) -> None:
    assert TypeAdapter(kind).validate_python(given) == value


@pytest.mark.parametrize(
    ("kind", "given", "reason"),
    [
        (fields.Seconds, "5", "is not a duration"),
        (fields.Seconds, "-1s", "is negative"),
        (fields.Seconds, "1.5s", "not a whole number of seconds"),
        (fields.Seconds, True, "is not text"),
        (fields.Seconds, ["1s"], "is not text"),
        (fields.PositiveSeconds, "0s", "must be more than zero"),
        (fields.Port, 0, "1 to 65535"),
        (fields.Port, 65536, "1 to 65535"),
        (fields.Port, "80x", "1 to 65535"),
        (fields.Port, "\uff18\uff10", "1 to 65535"),
        (fields.Port, 80.5, "1 to 65535"),
        (fields.FilePath, "", "not a usable path"),
        (fields.FilePath, "a\0b", "not a usable path"),
        (fields.FilePath, "a" * 5000, "not a usable path"),
        (fields.Level, "loud", "must be one of debug, trace, info"),
        (fields.Format, "xml", "must be one of text, json"),
        *[
            (fields.Network, given, "is not a CIDR range")
            for given in ("10.0.0.1", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "host/8", "fe80::%eth0/64", "", "/8")
        ],
        (fields.KeyTypeName, "rsa-1024", "must be one of ec-p256, ec-p384, rsa-2048, rsa-4096"),
        (fields.DomainName, "Example.org", "lowercase"),
        (fields.DomainName, "a" * 256, "longer than 255"),
        (fields.Identity, "spiffe://", "trust domain is missing"),
    ],
)
def test_refuses(kind: type, given: object, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TypeAdapter(kind).validate_python(given)


def test_a_section_takes_numbers_for_text_as_hcl_does_and_no_unknown_keys() -> None:
    class Some(fields.Section):
        text: str = ""

    assert Some.model_validate({"text": 5}).text == "5"
    with pytest.raises(ValidationError, match="Extra inputs"):
        Some.model_validate({"other": 1})
