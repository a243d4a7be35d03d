"""Entries, bundles, IDs and selectors on the wire and back."""

from dataclasses import fields, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from assay.bundle import Bundle, JwtAuthority, WitAuthority, X509Authority
from assay.crypto.keys import to_pkix
from assay.entry import Entry
from assay.errors import InvalidArgumentError
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.authority import Authority, Ca
from assay.wire import bundle as bundle_wire
from assay.wire import entry as entry_wire
from assay.wire import selector as selector_wire
from assay.wire import spiffeid as spiffeid_wire
from assay_proto.spire.api.types import bundle_pb2, entry_pb2, selector_pb2
from assay_proto.spire.api.types.spiffeid_pb2 import SPIFFEID

ENTRY = Entry(
    id="id",
    spiffe_id=SpiffeId.parse("spiffe://td/web"),
    parent_id=SpiffeId.parse("spiffe://td/node"),
    selectors=(Selector("unix", "gid:1"), Selector("unix", "uid:1")),
    x509_svid_ttl=1,
    jwt_svid_ttl=2,
    federates_with=(TrustDomain("other"),),
    dns_names=("a.b", "c.d"),
    hint="hint",
    admin=True,
    downstream=True,
    store_svid=True,
    disable_x509_svid_prefetch=True,
    jwt_svid_include_jti=True,
    expires_at=3,
    revision=4,
    created_at=5,
)
MASKED = [field.name for field in entry_pb2.EntryMask.DESCRIPTOR.fields]


OF_BINDINGS = {"principal", "instance_from", "withheld"}
"""What SPIRE's message has no room for; Assay's agents are told of it beside."""


def test_no_field_of_an_entry_is_forgotten() -> None:
    assert {field.name for field in fields(Entry) if not getattr(ENTRY, field.name)} == OF_BINDINGS
    message = entry_wire.to_proto(ENTRY)
    assert {field.name for field, _ in message.ListFields()} == {"id", *MASKED}
    assert entry_wire.from_proto(message) == ENTRY


def test_an_entry_with_nothing_set_goes_there_and_back() -> None:
    bare = Entry("", ENTRY.spiffe_id, ENTRY.parent_id, ())
    message = entry_wire.to_proto(bare)
    assert {field.name for field, _ in message.ListFields()} == {"spiffe_id", "parent_id"}
    assert entry_wire.from_proto(message) == bare


@pytest.mark.parametrize("name", MASKED)
def test_a_mask_lets_through_what_it_names_and_the_id(name: str) -> None:
    message = entry_wire.to_proto(ENTRY, entry_pb2.EntryMask(**{name: True}))
    assert {field.name for field, _ in message.ListFields()} == {"id", name}
    assert {field.name for field, _ in entry_wire.to_proto(ENTRY, entry_pb2.EntryMask()).ListFields()} == {"id"}


@pytest.mark.parametrize("name", MASKED)
def test_a_merge_takes_what_the_mask_names(name: str) -> None:
    other = Entry("other", SpiffeId.parse("spiffe://td/a"), SpiffeId.parse("spiffe://td/b"), ())
    merged = entry_wire.merge(other, entry_wire.to_proto(ENTRY), entry_pb2.EntryMask(**{name: True}))
    changed = {field.name for field in fields(Entry) if getattr(merged, field.name) != getattr(other, field.name)}
    expected = {
        "revision_number": {"revision"},
        "additional_attributes": {"disable_x509_svid_prefetch", "jwt_svid_include_jti"},
    }.get(name, {name})
    assert changed == expected
    assert all(getattr(merged, field) == getattr(ENTRY, field) for field in expected)


def test_a_merge_without_mask_takes_all_but_the_id() -> None:
    other = Entry("other", SpiffeId.parse("spiffe://td/a"), SpiffeId.parse("spiffe://td/b"), ())
    assert entry_wire.merge(other, entry_wire.to_proto(ENTRY)) == replace(ENTRY, id="other")


def test_a_merge_looks_only_at_what_it_takes() -> None:
    message = entry_pb2.Entry(hint="new", selectors=[selector_pb2.Selector(type="")])
    assert entry_wire.merge(ENTRY, message, entry_pb2.EntryMask(hint=True)) == replace(ENTRY, hint="new")


def test_selectors_come_sorted_and_once() -> None:
    message = entry_wire.to_proto(replace(ENTRY, selectors=(*reversed(ENTRY.selectors), *ENTRY.selectors)))
    assert entry_wire.from_proto(message).selectors == ENTRY.selectors


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"spiffe_id": None}, "invalid spiffe ID: request must specify SPIFFE ID"),
        ({"parent_id": None}, "invalid parent ID: request must specify SPIFFE ID"),
        ({"spiffe_id": SPIFFEID(trust_domain="td", path="web")}, "invalid spiffe ID: path must have a leading slash"),
        ({"parent_id": SPIFFEID(trust_domain="TD", path="/a")}, "invalid parent ID: trust domain characters"),
        ({"selectors": [selector_pb2.Selector(type="", value="a")]}, "missing selector type"),
        ({"federates_with": ["Other"]}, "invalid federated trust domain: trust domain characters"),
    ],
)
def test_refuses_malformed_entries_in_spires_words(change: dict[str, object], reason: str) -> None:
    message = entry_wire.to_proto(ENTRY)
    for name, value in change.items():
        message.ClearField(name)  # type: ignore[arg-type]
        if value is not None:
            message.MergeFrom(entry_pb2.Entry(**{name: value}))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=reason):
        entry_wire.from_proto(message)


@pytest.mark.parametrize("text", ["spiffe://td", "spiffe://td/a/b"])
def test_ids_go_there_and_back(text: str) -> None:
    message = spiffeid_wire.to_proto(SpiffeId.parse(text))
    assert str(spiffeid_wire.from_proto(message)) == text


def test_an_ids_trust_domain_may_be_written_as_an_id() -> None:
    assert str(spiffeid_wire.from_proto(SPIFFEID(trust_domain="spiffe://td", path="/a"))) == "spiffe://td/a"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (SPIFFEID(), "trust domain is missing"),
        (SPIFFEID(path="/a"), "trust domain is missing"),
        (SPIFFEID(trust_domain="td", path="/"), "trailing slash"),
    ],
)
def test_refuses_what_is_no_id(message: SPIFFEID, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        spiffeid_wire.from_proto(message)


def test_selectors_go_there_and_back() -> None:
    selector = Selector("k8s", "pod-label:a:b")
    assert selector_wire.from_proto(selector_wire.to_proto(selector)) == selector


def whole_bundle() -> Bundle:
    key = to_pkix(ec.generate_private_key(ec.SECP256R1()).public_key())
    return Bundle(
        TrustDomain("td"),
        (X509Authority(Ca.create("a").der), X509Authority(Ca.create("b").der, tainted=True)),
        (JwtAuthority("k1", key, 7), JwtAuthority("k2", key, tainted=True)),
        refresh_hint=300,
        sequence=2**64 - 1,
        wit_authorities=(WitAuthority("w1", key, 7), WitAuthority("w2", key, tainted=True)),
    )


def test_bundles_go_there_and_back() -> None:
    bundle = whole_bundle()
    assert bundle_wire.from_proto(bundle_wire.to_proto(bundle)) == bundle


@pytest.mark.parametrize(
    "name", ["x509_authorities", "jwt_authorities", "wit_authorities", "refresh_hint", "sequence_number"]
)
def test_a_mask_lets_through_what_it_names_and_the_trust_domain(name: str) -> None:
    message = bundle_wire.to_proto(whole_bundle(), bundle_pb2.BundleMask(**{name: True}))
    assert {field.name for field, _ in message.ListFields()} == {"trust_domain", name}


def test_one_message_may_hold_several_certificates() -> None:
    roots = [Ca.create("a").der, Ca.create("b").der]
    message = bundle_pb2.Bundle(trust_domain="td", x509_authorities=[{"asn1": b"".join(roots)}])  # type: ignore[list-item]
    assert [authority.der for authority in bundle_wire.from_proto(message).x509_authorities] == roots


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (bundle_pb2.Bundle(), "invalid trust domain: trust domain is missing"),
        (
            bundle_pb2.Bundle(trust_domain="td", x509_authorities=[bundle_pb2.X509Certificate()]),
            "unable to parse X.509 authority: no certificate",
        ),
        (
            bundle_pb2.Bundle(trust_domain="td", x509_authorities=[bundle_pb2.X509Certificate(asn1=b"junk")]),
            "unable to parse X.509 authority",
        ),
        (
            bundle_pb2.Bundle(trust_domain="td", x509_authorities=[bundle_pb2.X509Certificate(asn1=b"\x30\x00")]),
            "unable to parse X.509 authority",
        ),
        (
            bundle_pb2.Bundle(trust_domain="td", jwt_authorities=[bundle_pb2.JWTKey(key_id="a", public_key=b"junk")]),
            "unable to parse JWT authority",
        ),
        (
            bundle_pb2.Bundle(trust_domain="td", wit_authorities=[bundle_pb2.WITKey(key_id="a", public_key=b"junk")]),
            "unable to parse WIT authority",
        ),
        (
            bundle_pb2.Bundle(
                trust_domain="td",
                jwt_authorities=[
                    bundle_pb2.JWTKey(public_key=Authority().bundle.jwt_authorities[0].public_key),
                ],
            ),
            "missing key ID",
        ),
    ],
)
def test_refuses_malformed_bundles(message: bundle_pb2.Bundle, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        bundle_wire.from_proto(message)
