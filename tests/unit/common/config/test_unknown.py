import pytest

from assay.config.unknown import nearest, unknown_reason

KNOWN = ("trust_domain", "bind_port", "bind_address", "ca_ttl")


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("trust_domian", "trust_domain"), ("trustDomain", "trust_domain"), ("bind-port", "bind_port"),
        ("BIND_PORT", "bind_port"), ("ttl", "ca_ttl"), ("zzz", None),
    ],
)  # fmt: skip
def test_finds_the_key_that_was_meant(key: str, meant: str | None) -> None:
    assert nearest(key, KNOWN) == meant


def test_says_what_was_meant_or_what_there_is() -> None:
    assert unknown_reason("bind_prot", KNOWN) == 'unknown key; did you mean "bind_port"?'
    assert unknown_reason("zzz", ("b", "a"), "plugin") == "unknown plugin; valid here: a, b"
    assert unknown_reason("zzz", ()) == "unknown key; none is valid here"
