import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

Create = Callable[..., str]


class Cli(Protocol):
    err: str

    def __call__(self, *arguments: str, status: int = 0) -> str: ...
    def json(self, *arguments: str, status: int = 0) -> Any: ...  # noqa: ANN401 - JSON


pytestmark = pytest.mark.xdist_group("admin cli")


def shown(cli: Cli, *arguments: str) -> list[str]:
    found = cli.json("entry", "show", *arguments)["entries"]
    return sorted(one["spiffe_id"]["path"] for one in found)


def test_an_entry_is_made_shown_and_deleted_in_spires_words(cli: Cli) -> None:
    out = cli(
        "entry", "create", "-spiffeID", "spiffe://example.test/words", "-parentID", "spiffe://example.test/p",
        "-selector", "unix:uid:1", "-selector", "unix:gid:2", "-dns", "a.example", "-x509SVIDTTL", "60",
        "-hint", "external", "-admin", "-entryExpiry", "4102444800", "-storeSVID=false", "-jwtSVIDIncludeJTI",
        "-disableX509SVIDPrefetch",
    )  # fmt: skip
    lines = out.splitlines()
    entry_id = lines[0].removeprefix("Entry ID                : ")
    assert lines[1:] == [
        "SPIFFE ID               : spiffe://example.test/words",
        "Parent ID               : spiffe://example.test/p",
        "Revision                : 0",
        "X509-SVID TTL           : 60",
        "JWT-SVID TTL            : default",
        "Expiration time         : 2100-01-01 00:00:00 +0000 UTC",
        "Selector                : unix:gid:2",
        "Selector                : unix:uid:1",
        "DNS name                : a.example",
        "Admin                   : true",
        "Hint                    : external",
        "DisableX509SvidPrefetch : true",
        "JwtSvidIncludeJti       : true",
        "",
    ]
    assert cli("entry", "show", "-entryID", entry_id) == f"Found 1 entry\n{out}"
    assert cli("entry", "delete", "-entryID", entry_id) == f"Deleted entry with ID: {entry_id}\n"
    assert cli("entry", "show", "-spiffeID", "spiffe://example.test/words") == "Found 0 entries\n"


def test_a_node_entry_is_below_the_server(cli: Cli, entry: Create) -> None:
    entry_id = entry("/nodes", "-node", "-downstream")
    out = cli("entry", "show", "-entryID", entry_id)
    assert "Parent ID               : spiffe://example.test/spire/server\n" in out
    assert "Downstream              : true\n" in out


def test_what_cannot_be_made_is_told_with_its_code(cli: Cli, entry: Create) -> None:
    entry("/twice")
    again = ("entry", "create", "-spiffeID", "spiffe://example.test/twice", "-selector", "unix:uid:4242",
             "-parentID", "spiffe://example.test/parent")  # fmt: skip
    assert cli(*again, status=1) == ""
    assert cli.err.startswith('Failed to create the following entry (code: AlreadyExists, msg: "')
    assert re.search(r"^SPIFFE ID +: spiffe://example\.test/twice$", cli.err, re.MULTILINE)
    answer = cli.json(*again, status=1)
    assert answer["results"][0]["status"]["code"] == 6


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "at least one selector is required"),
        (("-selector", "unix:uid:1"), 2, "a SPIFFE ID is required"),
        (("-selector", "unix:uid:1", "-spiffeID", "spiffe://example.test/x"), 2, "a parent ID is required"),
        (
            ("-selector", "a:b", "-spiffeID", "spiffe://example.test/x", "-node", "-federatesWith", "b"), 2,
            "node entries can not federate",
        ),
        (("-selector", "a:b", "-spiffeID", "example.test/x", "-parentID", "x"), 1, "scheme is missing or invalid"),
        (
            ("-selector", "nocolon", "-spiffeID", "spiffe://example.test/x", "-parentID", "spiffe://example.test/p"), 1,
            "must be formatted as type:value",
        ),
        (("-x509SVIDTTL", "-5"), 2, "greater than or equal"),
        (
            ("-selector", "a:b", "-spiffeID", "spiffe://other.test/x", "-parentID", "spiffe://example.test/p"), 1,
            "code: InvalidArgument",
        ),
    ],
)  # fmt: skip
def test_bad_flags_are_refused(cli: Cli, arguments: tuple[str, ...], status: int, words: str) -> None:
    cli("entry", "create", *arguments, status=status)
    assert words in re.sub(r"\s+│?\s*", " ", cli.err)


def test_entries_come_from_a_file_or_standard_input(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = {
        "spiffe_id": "spiffe://example.test/file", "parent_id": "spiffe://example.test/p",
        "selectors": [{"type": "unix", "value": "uid:1"}], "x509_svid_ttl": 60, "dns_names": ["a.example"],
    }  # fmt: skip
    path = tmp_path / "entries.json"
    path.write_text(json.dumps({"entries": [one]}))
    (result,) = cli.json("entry", "create", "-data", str(path))["results"]
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"entries": [{**one, "hint": "in"}]})))
    again = cli.json("entry", "create", "-data", "-", status=1)["results"]
    assert again[0]["status"]["code"] == 6
    path.write_text(json.dumps({"ids": [result["entry"]["id"], "no-such-id"]}))
    out = cli("entry", "delete", "-file", str(path), status=1)
    assert out == f"Deleted entry with ID: {result['entry']['id']}\n"
    assert cli.err.startswith("Failed to delete entry with ID no-such-id (code: NotFound, msg: ")


@pytest.mark.parametrize("arguments", [("create", "-data"), ("delete", "-file")])
def test_a_file_that_cannot_be_read_is_said(cli: Cli, arguments: tuple[str, ...]) -> None:
    cli("entry", *arguments, "/no/such/file", status=1)
    assert cli.err.startswith("Error: /no/such/file cannot be read")


@pytest.mark.parametrize("more", [("-node",), ("-hint", "x"), ("-spiffeID", "spiffe://example.test/x"), ("-admin",)])
def test_a_file_goes_with_none_of_an_entrys_flags(cli: Cli, tmp_path: Path, more: tuple[str, ...]) -> None:
    path = tmp_path / "entries.json"
    path.write_text('{"entries": []}')
    cli("entry", "create", "-data", str(path), *more, status=2)
    assert "goes with no flag of an entry" in re.sub(r"\s+│?\s*", " ", cli.err)
    if more != ("-node",):
        cli("entry", "update", "-data", str(path), *more, status=2)


def test_show_filters(cli: Cli, entry: Create) -> None:
    entry("/show/a", "-hint", "one")
    entry("/show/b", "-selector", "unix:gid:7")
    both = ("-parentID", "spiffe://example.test/parent")
    assert shown(cli, *both) == ["/show/a", "/show/b"]
    assert shown(cli, "-spiffeID", "spiffe://example.test/show/a") == ["/show/a"]
    assert shown(cli, "-selector", "unix:uid:4242", "-matchSelectorsOn", "exact") == ["/show/a"]
    assert shown(cli, "-selector", "unix:uid:4242") == ["/show/a", "/show/b"]
    assert shown(cli, "-hint", "one") == ["/show/a"]
    assert shown(cli, "-downstream") == []
    assert shown(cli, "-federatesWith", "spiffe://other.test") == []


def test_show_refuses_what_makes_no_sense(cli: Cli) -> None:
    cli("entry", "show", "-entryID", "x", "-spiffeID", "spiffe://a/b", status=2)
    assert "goes with no other filter" in cli.err
    cli("entry", "show", "-entryID", "no-such-id", status=1)
    assert cli.err.startswith("Error: entry not found")
    cli("entry", "delete", status=2)
    assert "an entry ID is required" in cli.err
