import json

import pytest

from assay.cli.output import count_of, go_time, message_dict, print_labelled, print_message
from assay_proto.spire.api.types.entry_pb2 import Entry
from assay_proto.spire.api.types.jointoken_pb2 import JoinToken


def test_messages_are_written_as_spire_writes_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_message(JoinToken(value="x", expires_at=5))
    assert json.loads(capsys.readouterr().out) == {"value": "x", "expires_at": "5"}
    written = message_dict(Entry(id="i"))
    assert (written["x509_svid_ttl"], written["dns_names"], written["admin"]) == (0, [], False)


def test_labels_are_padded(capsys: pytest.CaptureFixture[str]) -> None:
    print_labelled([("Entry ID", "x"), ("X509-SVID TTL", 5)], 24)
    assert capsys.readouterr().out == "Entry ID                : x\nX509-SVID TTL           : 5\n\n"


def test_what_others_named_can_neither_steer_the_terminal_nor_begin_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_labelled([("Agent version", "\x1b[2J\nBanned: false\u202e\x9b")], 14)
    assert capsys.readouterr().out == "Agent version : \\x1b[2J\\nBanned: false\\u202e\\x9b\n\n"


def test_words() -> None:
    assert count_of(1, "entry", "entries") == "1 entry"
    assert count_of(0, "entry", "entries") == "0 entries"
    assert go_time(0) == "1970-01-01 00:00:00 +0000 UTC"
