"""`assay entry update` and `count`, and files of more entries than one call takes."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from assay_server.cli.entryclient import BATCH

Create = Callable[..., str]
UPDATED = ("-spiffeID", "spiffe://example.test/new", "-parentID", "spiffe://example.test/parent")


class Cli(Protocol):
    err: str

    def __call__(self, *arguments: str, status: int = 0) -> str: ...
    def json(self, *arguments: str, status: int = 0) -> Any: ...  # noqa: ANN401 - JSON


pytestmark = pytest.mark.xdist_group("admin cli")


def test_an_update_replaces_all_that_an_entry_says(cli: Cli, entry: Create) -> None:
    entry_id = entry("/old", "-dns", "a.example", "-hint", "h", "-admin", "-x509SVIDTTL", "60")
    out = cli("entry", "update", "-entryID", entry_id, *UPDATED, "-selector", "unix:gid:9", "-jwtSVIDTTL", "30")
    assert out.splitlines() == [
        f"Entry ID                : {entry_id}",
        "SPIFFE ID               : spiffe://example.test/new",
        "Parent ID               : spiffe://example.test/parent",
        "Revision                : 1",
        "X509-SVID TTL           : default",
        "JWT-SVID TTL            : 30",
        "Selector                : unix:gid:9",
        "",
    ]
    assert cli("entry", "show", "-entryID", entry_id) == f"Found 1 entry\n{out}"


def test_an_additional_attribute_stays_when_the_other_is_set(cli: Cli, entry: Create) -> None:
    entry_id = entry("/attributes", "-disableX509SVIDPrefetch")
    update = ("entry", "update", "-entryID", entry_id, *UPDATED, "-selector", "unix:gid:10")
    both = cli(*update, "-jwtSVIDIncludeJTI")
    assert "DisableX509SvidPrefetch : true\nJwtSvidIncludeJti       : true\n" in both
    assert "true" not in cli(*update)


def test_entries_are_updated_from_a_file_and_standard_input(
    cli: Cli, entry: Create, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry_id = entry("/file-update")
    one = {
        "entry_id": entry_id, "spiffe_id": "spiffe://example.test/file-update", "hint": "from file",
        "parent_id": "spiffe://example.test/parent", "selectors": [{"type": "unix", "value": "uid:4242"}],
        "additional_attributes": {"jwt_svid_include_jti": True},
    }  # fmt: skip
    path = tmp_path / "entries.json"
    path.write_text(json.dumps({"entries": [one]}))
    assert "Hint                    : from file\n" in cli("entry", "update", "-data", str(path))
    both = [{**one, "hint": "from pipe"}, {**one, "entry_id": "none"}]
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"entries": both})))
    out = cli("entry", "update", "-data", "-", status=1)
    assert "Hint                    : from pipe\n" in out
    assert cli.err.startswith('Failed to update the following entry (code: NotFound, msg: "failed to update entry"):\n')
    assert "Entry ID                : none\n" in cli.err
    assert cli.err.endswith("Error: failed to update one or more entries\n")
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"entries": both})))
    answer = cli.json("entry", "update", "-data", "-", status=1)
    assert [one["status"]["code"] for one in answer["results"]] == [0, 5]
    assert answer["results"][1]["entry"]["id"] == "none"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "an entry ID is required"),
        (("-entryID", "x"), 2, "at least one selector is required"),
        (("-entryID", "x", "-selector", "a:b"), 2, "a SPIFFE ID is required"),
        (("-entryID", "x", "-selector", "a:b", "-spiffeID", "spiffe://example.test/x"), 2, "a parent ID is required │"),
        (("-entryID", "x", "-selector", "a:b", *UPDATED), 1, "code: NotFound"),
        (("-entryID", "x", "-selector", "a:b", *UPDATED, "-jwtSVIDIncludeJTI"), 1, "entry not found"),
        (("-data", "/no/such/file"), 1, "/no/such/file cannot be read"),
        (("-node",), 2, "No such option: --node"),
    ],
)
def test_bad_updates_are_refused(cli: Cli, arguments: tuple[str, ...], status: int, words: str) -> None:
    cli("entry", "update", *arguments, status=status)
    assert words in " ".join(cli.err.split())


def test_count_counts_what_show_shows(cli: Cli, entry: Create) -> None:
    entry("/count/a", "-hint", "counted")
    entry("/count/other")
    entry("/count/b", "-hint", "counted", "-downstream")
    assert cli("entry", "count", "-hint", "counted") == "2 registration entries\n"
    assert cli("entry", "count", "-hint", "counted", "-downstream") == "1 registration entry\n"
    assert cli.json("entry", "count", "-spiffeID", "spiffe://example.test/count/a") == {"count": 1}
    assert cli.json("entry", "count", "-selector", "no:such") == {"count": 0}
    cli("entry", "count", "-parentID", "nothing", status=1)
    assert "scheme is missing" in cli.err


def test_a_file_with_more_entries_than_one_call_takes_is_taken_whole(cli: Cli, tmp_path: Path) -> None:
    entries = [
        {
            "entry_id": f"many-{number}", "spiffe_id": f"spiffe://example.test/many/{number}",
            "parent_id": "spiffe://example.test/many", "selectors": [{"type": "a", "value": "b"}],
        }
        for number in range(BATCH + 2)
    ]  # fmt: skip
    entries[BATCH]["spiffe_id"] = "spiffe://other.test/x"
    path = tmp_path / "many.json"
    path.write_text(json.dumps({"entries": entries}))
    answer = cli.json("entry", "create", "-data", str(path), status=1)
    wrong = [number for number, result in enumerate(answer["results"]) if result["status"]["code"]]
    assert (len(answer["results"]), wrong) == (BATCH + 2, [BATCH])
    assert answer["results"][BATCH]["entry"]["id"] == f"many-{BATCH}"
    assert cli.json("entry", "count", "-parentID", "spiffe://example.test/many") == {"count": BATCH + 1}
    assert len(cli.json("entry", "show", "-parentID", "spiffe://example.test/many")["entries"]) == BATCH + 1
    ids = tmp_path / "ids.json"
    ids.write_text(json.dumps({"ids": [one["entry_id"] for one in entries]}))
    deleted = cli.json("entry", "delete", "-file", str(ids), status=1)["results"]
    assert [one["id"] for one in deleted if one["status"]["code"]] == [f"many-{BATCH}"]
    assert cli.json("entry", "count", "-parentID", "spiffe://example.test/many") == {"count": 0}
