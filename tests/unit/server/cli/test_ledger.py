# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""`assay ledger` against a real server, and without one: what it exports verifies, and what was edited does not."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from assay.cli.main import run
from assay.testing.deployment import Deployment

pytestmark = pytest.mark.xdist_group("admin cli")


@pytest.fixture(scope="module")
def numbers() -> Any:
    return iter(range(1000))


@pytest.fixture
def owner(cli: Any, numbers: Any) -> str:
    """An owner who came and left: two events."""
    name = f"person:ledger{next(numbers)}@corp"
    cli("owner", "add", name)
    cli("owner", "leave", name)
    return name


@pytest.fixture
def exported(cli: Any, owner: str, tmp_path: Path) -> Path:  # noqa: ARG001 - there has to be something
    path = tmp_path / "ledger.jsonl"
    path.write_text(cli("ledger", "export"))
    (tmp_path / "key.json").write_text(cli("ledger", "key"))
    return path


def verify(path: Path, capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> Any:
    found = run(["ledger", "verify", str(path), "--key", str(path.parent / "key.json"), *arguments, "-output", "json"])
    captured = capsys.readouterr()
    assert found == status, captured.out + captured.err
    return json.loads(captured.out) if captured.out else captured.err


def test_what_is_exported_verifies_without_the_server(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = verify(exported, capsys, "--trust-domain", "example.test")
    lines = [json.loads(line) for line in exported.read_text().splitlines()]
    records = [line for line in lines if "number" in line]
    assert (told["verified"], told["first"], told["records"]) == (True, 1, len(records))
    assert told["head"] == records[-1]["hash"]
    assert run(["ledger", "verify", str(exported), "--key", str(exported.parent / "key.json")]) == 0
    assert f"Verified: {len(records)} records, 1 to {len(records)} of example.test" in capsys.readouterr().out


def test_an_edited_export_does_not(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported.write_text(exported.read_text().replace('"change":"added"', '"change":"adde_"', 1))
    told = verify(exported, capsys, status=3)
    first = next(json.loads(line) for line in exported.read_text().splitlines() if "adde_" in line)
    assert (told["fault"]["kind"], told["fault"]["record"]) == ("altered", first["number"])
    assert run(["ledger", "verify", str(exported), "--key", str(exported.parent / "key.json")]) == 3
    assert f"Error: altered: record {first['number']} is not" in capsys.readouterr().err


def test_a_checkpoint_that_was_kept_tells_of_an_end_that_is_cut_off(
    cli: Any, exported: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "kept.jws").write_text(cli("ledger", "checkpoint"))
    assert verify(exported, capsys, "--checkpoint", str(tmp_path / "kept.jws"))["verified"]
    cli("owner", "add", "person:later@corp")
    (tmp_path / "kept.jws").write_text(cli("ledger", "checkpoint"))
    told = verify(exported, capsys, "--checkpoint", str(tmp_path / "kept.jws"), status=3)
    assert told["fault"]["kind"] == "cut_off"


def test_a_foreign_key_verifies_nothing(exported: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pem = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "key.json").write_bytes(pem.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert verify(exported, capsys, status=3)["fault"]["kind"] == "foreign_signature"


def test_a_part_says_that_it_is_one(cli: Any, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported.write_text(cli("ledger", "export", "--principal", "nobody"))
    told = verify(exported, capsys, status=4)
    assert (told["verified"], told["fault"], told["part"]) == (False, None, {"principal": "nobody"})


@pytest.mark.parametrize("contents", ["", "not JSON", '{"keys": []}', "-----BEGIN PUBLIC KEY-----\nx\n", '{"d": "x"}'])
def test_what_is_no_key_is_refused(exported: Path, capsys: pytest.CaptureFixture[str], contents: str) -> None:
    (exported.parent / "key.json").write_text(contents)
    assert "Error: " in verify(exported, capsys, status=1)


def test_records_are_listed_and_other_tools_get_theirs(cli: Any, owner: str) -> None:
    lines = cli("ledger", "list").splitlines()
    assert f"owner.changed        {owner}  by local:" in lines[-1] + lines[-2]
    records = [json.loads(line) for line in cli("ledger", "list", "-output", "json").splitlines()]
    assert [one["number"] for one in records] == list(range(1, len(records) + 1))
    events = [json.loads(line) for line in cli("ledger", "export", "--format", "cloudevents").splitlines()]
    assert (events[-1]["type"], events[0]["id"]) == ("assay.ledger.owner.changed", records[0]["hash"])
    assert len({one["id"] for one in events}) == len(events) == len(records)
    (batch,) = [json.loads(line) for line in cli("ledger", "export", "--format", "otlp").splitlines()]
    assert len(batch["resourceLogs"][0]["scopeLogs"][0]["logRecords"]) == len(records)
    assert cli("ledger", "list", "--since", "2999-01-01") == ""
    assert "no time" in bad_time(cli)


def bad_time(cli: Any) -> str:
    cli("ledger", "list", "--since", "tomorrow", status=2)
    return str(cli.err)


def test_checkpoints_and_keys_are_listed(cli: Any, exported: Path) -> None:
    found = cli.json("ledger", "checkpoints")["checkpoints"]
    assert found[-1]["token"] == cli("ledger", "checkpoint").strip()
    assert cli("ledger", "checkpoints").splitlines()[-1].endswith(found[-1]["token"])
    (key,) = json.loads(cli("ledger", "key"))["keys"]
    assert (key["kid"], key["use"], key["kty"], key["crv"]) == (key["kid"], "sig", "EC", "P-256")
    assert json.loads(cli("ledger", "key", "--all"))["keys"] == [key]
    assert run(["ledger", "verify", str(exported), "--key", str(exported.parent / "missing")]) == 1


def test_what_is_older_is_pruned_and_the_rest_verifies(
    cli: Any, exported: Path, capsys: pytest.CaptureFixture[str], deployment: Deployment
) -> None:
    cli("ledger", "prune", "--before", "2000-01-01", status=1)
    assert "nothing was pruned" in cli.err
    last = json.loads(exported.read_text().splitlines()[0])["last"]
    pruned = cli.json("ledger", "prune", "--before", "2999-01-01")
    assert (int(pruned["through"]), int(pruned["records"])) == (last, last)
    exported.write_text(cli("ledger", "export"))
    told = verify(exported, capsys)
    assert (told["verified"], told["first"], told["records"]) == (True, last + 1, 1)
    gone = json.loads(exported.read_text().splitlines()[1])
    assert (gone["type"], gone["details"]["through"]) == ("ledger.pruned", last)
    with sqlite3.connect(deployment.dir / "server" / "datastore.sqlite3") as database:
        assert database.execute("SELECT min(number) FROM events").fetchone() == (last + 1,)
