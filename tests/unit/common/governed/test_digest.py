"""Anchors: the vectors of mission-bound authorization and of RFC 8785, byte for byte."""

import json
import struct
from typing import Any

import pytest
import rfc8785

from assay.governed.authority import authority_of
from assay.governed.digest import authority_hash, digest, intent_hash, typed_digest

ISSUER = "https://as.example.com"
INTENT: dict[str, Any] = {
    "goal": "Reconcile Q3 invoices",
    "resources": ["https://erp.example.com"],
    "expires_at": "2026-12-31T23:59:59Z",
}
READ: dict[str, Any] = {
    "type": "mission_resource_access",
    "resource": "https://erp.example.com",
    "actions": ["invoices.read"],
}
WRITE: dict[str, Any] = {
    "type": "mission_resource_access",
    "resource": "https://erp.example.com",
    "actions": ["journal-entries.write"],
    "constraints": {"max_amount": {"amount": "500.00", "currency": "USD"}},
}
DELEGATION = {"max_depth": 2, "allowed_delegates": [{"sub_profile": "ai_agent"}, {"sub": "s6BhdRkqt3"}]}


def test_an_intents_anchor_is_the_drafts() -> None:
    assert intent_hash(ISSUER, INTENT) == "sha-256:6mIFoCz79uCHNzKLfBpBwqFjoFXdpmpuc65486IqimQ"
    controls = {"acr": "urn:example:acr:mfa", "max_derivations": 20}
    anchor = intent_hash(ISSUER, INTENT | {"controls": controls})
    assert anchor == "sha-256:DHUg4zS3HHnWtXlO6hu9sTN_jX4LyjZ4tOJiTDAvWAI"


def test_an_authoritys_anchor_is_the_drafts_after_it_was_read() -> None:
    authority = authority_of([READ, WRITE])
    assert authority_hash(ISSUER, authority) == "sha-256:vUCCfjGulit9u0qJ0Z6pQSNerZtXMqRlfJNCr4PzLro"


def test_other_types_anchors_are_the_drafts() -> None:
    delegated = typed_digest("mission-authority-set", ISSUER, [READ | {"delegation": DELEGATION}])
    assert delegated == "sha-256:notrA9wZaP3I5Gx8UzN0mfzUjHYPeX4Ri_B3ilh7BbA"
    wider = WRITE | {"constraints": {"max_amount": {"amount": "1000.00", "currency": "USD"}}}
    proposal = [READ | {"actions": ["invoices.*"]}, wider]
    proposed = typed_digest("mission-proposed-authority", ISSUER, proposal)
    assert proposed == "sha-256:udzftXYQy0pvYNxz4KgtmyL_EV8ry4DhIbBFfwILEBA"


def test_issuer_and_type_are_part_of_an_anchor() -> None:
    anchors = {
        typed_digest(kind, issuer, INTENT)
        for kind in ("mission-intent", "mission-authority-set")
        for issuer in (ISSUER, "x")
    }
    assert len(anchors) == 4


@pytest.mark.parametrize(
    ("bits", "text"),
    [  # RFC 8785, appendix B
        ("0000000000000000", "0"),
        ("8000000000000000", "0"),
        ("0000000000000001", "5e-324"),
        ("8000000000000001", "-5e-324"),
        ("7fefffffffffffff", "1.7976931348623157e+308"),
        ("ffefffffffffffff", "-1.7976931348623157e+308"),
        ("4340000000000000", "9007199254740992"),
        ("c340000000000000", "-9007199254740992"),
        ("4430000000000000", "295147905179352830000"),
        ("44b52d02c7e14af5", "9.999999999999997e+22"),
        ("44b52d02c7e14af6", "1e+23"),
        ("44b52d02c7e14af7", "1.0000000000000001e+23"),
        ("444b1ae4d6e2ef4e", "999999999999999700000"),
        ("444b1ae4d6e2ef4f", "999999999999999900000"),
        ("444b1ae4d6e2ef50", "1e+21"),
        ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
        ("3eb0c6f7a0b5ed8d", "0.000001"),
        ("41b3de4355555553", "333333333.3333332"),
        ("41b3de4355555554", "333333333.33333325"),
        ("41b3de4355555555", "333333333.3333333"),
        ("41b3de4355555556", "333333333.3333334"),
        ("41b3de4355555557", "333333333.33333343"),
        ("becbf647612f3696", "-0.0000033333333333333333"),
        ("43143ff3c1cb0959", "1424953923781206.2"),
    ],
)
def test_numbers_are_canonical_as_in_the_rfc(bits: str, text: str) -> None:
    (number,) = struct.unpack(">d", bytes.fromhex(bits))
    assert rfc8785.dumps(number) == text.encode()


def test_members_and_strings_are_canonical_as_in_the_rfc() -> None:
    # RFC 8785, sections 3.2.2 and 3.2.3
    value = json.loads(
        '{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],'
        '"string": "\\u20ac$\\u000F\\u000aA\'\\u0042\\u0022\\u005c\\\\\\"\\/",'
        '"literals": [null, true, false]}'
    )
    assert (
        rfc8785.dumps(value)
        == (
            '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
            '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
        ).encode()
    )
    names = ("\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6")
    unsorted = {name: number for number, name in enumerate(names, 1)}
    assert list(json.loads(rfc8785.dumps(unsorted)).values()) == [2, 4, 6, 7, 1, 5, 3]


@pytest.mark.parametrize("value", [2**53 + 2, float("nan"), float("inf")])
def test_numbers_that_json_cannot_say_have_no_digest(value: object) -> None:
    with pytest.raises(ValueError):
        digest({"n": value})
