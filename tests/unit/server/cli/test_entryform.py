import json

import pytest

from assay.errors import InvalidArgumentError
from assay_server.cli.entryform import parse_entries

ENTRY = {"spiffe_id": "spiffe://a/x", "parent_id": "spiffe://a/p", "selectors": [{"type": "t", "value": "v"}]}


def test_every_field_of_spires_file_is_read() -> None:
    more = {
        "entry_id": "i", "x509_svid_ttl": 1, "jwt_svid_ttl": 2, "federates_with": ["spiffe://b"], "admin": True,
        "downstream": True, "entryExpiry": 3, "dns_names": ["d"], "store_svid": True, "hint": "h",
        "revision_number": 9, "created_at": 9,
        "additional_attributes": {"disable_x509_svid_prefetch": True, "jwt_svid_include_jti": True},
    }  # fmt: skip
    (entry,) = parse_entries(json.dumps({"entries": [{**ENTRY, **more}]}))
    assert (entry.id, entry.x509_svid_ttl, entry.jwt_svid_ttl, entry.expires_at) == ("i", 1, 2, 3)
    assert (entry.spiffe_id.path, entry.parent_id.path, entry.revision_number) == ("/x", "/p", 0)
    assert entry.additional_attributes.jwt_svid_include_jti
    assert (entry.admin, entry.downstream, entry.store_svid, entry.hint) == (True, True, True, "h")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not valid JSON: line 1"),
        ("[]", 'no list "entries"'),
        ('{"entries": {}}', 'no list "entries"'),
        ('{"entries": [1]}', r"entries\[0\] is not an object"),
        (
            json.dumps({"entries": [ENTRY, {**ENTRY, "spifeid": 1}]}),
            r"entries\[1\]\.spifeid: unknown key; did you mean",
        ),
        (json.dumps({"entries": [{**ENTRY, "spiffe_id": "x"}]}), r"entries\[0\]: scheme is missing"),
        (json.dumps({"entries": [{**ENTRY, "parent_id": None}]}), r"entries\[0\]: scheme is missing"),
        (json.dumps({"entries": [{"selectors": []}]}), r"entries\[0\]: SPIFFE ID cannot be empty"),
        (json.dumps({"entries": [{**ENTRY, "admin": "yes"}]}), r"entries\[0\]: "),
        (json.dumps({"entries": [{**ENTRY, "x509_svid_ttl": 2**40}]}), r"entries\[0\]: "),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError, match=reason):
        parse_entries(text)
