"""`assay policy`: what needs no server, and the rest against a real one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from assay.cli.main import run
from assay.crypto.keys import generate, to_pem
from assay.keymanager.base import KeyType


class Cli(Protocol):
    err: str

    def __call__(self, *arguments: str, status: int = 0) -> str: ...
    def json(self, *arguments: str, status: int = 0) -> Any: ...  # noqa: ANN401 - JSON


pytestmark = pytest.mark.xdist_group("admin cli")

RULE = """@id("no-writes-at-night")
@reason("nothing is written between 22:00 and 06:00 UTC")
@advice("wait until 06:00 UTC")
forbid (principal, action, resource)
when {
  resource.actionClass == "consequential_write" &&
  (context.now.toTime() >= duration("22h") || context.now.toTime() < duration("6h"))
};
"""
CASE = """
[[case]]
name = "no writes at night"
expect = "deny"
policies = ["no-writes-at-night"]
tool = { action_class = "consequential_write" }
request = { now = 2026-11-22T23:00:00Z }
"""


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The shipped set, and a rule of one's own with its case."""
    path = tmp_path / "policies"
    assert run(["policy", "init", str(path)]) == 0
    (path / "own.cedar").write_text(RULE)
    with (path / "tests.toml").open("a") as tests:
        tests.write(CASE)
    capsys.readouterr()
    return path


def local(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> tuple[str, str]:
    assert run(["policy", *arguments]) == status
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_a_folder_is_begun_with_the_shipped_set_and_never_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, _ = local(capsys, "init", str(tmp_path / "p"))
    assert out.startswith("Wrote default.cedar, tests.toml, schema.cedarschema to ")
    assert local(capsys, "validate", str(tmp_path / "p"))[0].startswith("Valid: 1 file, ")
    _, err = local(capsys, "init", str(tmp_path / "p"), status=1)
    assert "has default.cedar, tests.toml, schema.cedarschema already" in err


def test_a_rule_of_ones_own_is_validated_and_tested(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert local(capsys, "validate", str(folder))[0].startswith("Valid: 2 files, ")
    assert local(capsys, "test", str(folder))[0] == "21 of 21 cases as expected.\n"
    answer = json.loads(local(capsys, "test", str(folder), "--output", "json")[0])
    assert (answer["passed"], answer["failed"]) == (21, 0)
    assert answer["cases"][-1]["policies"] == ["no-writes-at-night"]


def test_a_typo_is_named_with_file_line_and_nearest_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "own.cedar").write_text(RULE.replace("resource.actionClass", "resource.actionclass"))
    _, err = local(capsys, "validate", str(folder), status=1)
    assert err == (
        "Error: own.cedar:6: attribute `actionclass` on entity type `Assay::Tool` not found; "
        "did you mean actionClass?\n"
    )
    answer = json.loads(local(capsys, "validate", str(folder), "--output", "json", status=1)[0])
    assert (answer["valid"], answer["faults"][0]["line"]) == (False, 6)
    assert "own.cedar:6" in local(capsys, "test", str(folder), status=1)[1]


def test_a_case_that_comes_out_otherwise_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "own.cedar").write_text(RULE.replace("22h", "24h"))
    out, err = local(capsys, "test", str(folder), status=1)
    assert out == "20 of 21 cases as expected.\n"
    assert '"no writes at night": expected deny, got allow' in err


def test_what_is_no_folder_of_policies_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is no folder" in local(capsys, "validate", str(tmp_path / "no"), status=1)[1]
    assert "there is no .cedar file" in local(capsys, "validate", str(tmp_path), status=1)[1]
    (tmp_path / "a.cedar").write_bytes(b"\xff")
    assert "is not UTF-8" in local(capsys, "validate", str(tmp_path), status=1)[1]
    (tmp_path / "a.cedar").write_text(RULE)
    assert "has no tests.toml" in local(capsys, "test", str(tmp_path), status=1)[1]


def test_the_floor_is_shown_without_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert '@id("grave-actions-need-approval")' in local(capsys, "show", "--floor")[0]


@pytest.fixture
def shipped_again(cli: Cli) -> Iterator[None]:
    yield
    cli("policy", "rollback", "0")


@pytest.mark.usefixtures("shipped_again")
def test_policies_are_pushed_shown_listed_compared_and_rolled_back(cli: Cli, folder: Path, tmp_path: Path) -> None:
    assert cli("policy", "diff", str(folder)) == "0 of 0 live tasks would change.\n"
    first = cli.json("policy", "push", str(folder))["bundle"]
    version = int(first["version"])
    assert cli("policy", "push", str(folder), status=1) == ""
    assert "is live already" in cli.err
    (folder / "own.cedar").write_text(RULE + "\n// reviewed again\n")
    key = tmp_path / "key.pem"
    key.write_bytes(to_pem(generate(KeyType.EC_P256)))
    assert cli("policy", "push", str(folder), "--key", str(key)).startswith(f"Version {version + 1} is live.\n")
    assert "reviewed again" in cli("policy", "show")
    assert "reviewed again" not in cli("policy", "show", str(version))
    listed = cli.json("policy", "list")["bundles"]
    assert [each["live"] for each in listed][-2:] == [False, True]
    assert listed[-1]["signer"] != first["signer"]
    again = f"Version {version} is live again, in place of version {version + 1}.\n"
    assert cli("policy", "rollback", str(version)) == again
    cli("policy", "rollback", "99", status=1)
    assert "there is no version 99" in cli.err


def test_what_the_server_refuses_is_said_as_validate_says_it(cli: Cli, folder: Path) -> None:
    (folder / "own.cedar").write_text('@id("loose") permit (principal, action, resource);')
    cli("policy", "push", str(folder), status=1)
    assert 'own.cedar:1: "loose" allows a principal that is staged' in cli.err
    cli("policy", "explain", "dec_1", status=1)
    assert "there is no such decision" in cli.err
    (folder / "key.pem").write_text("no key")
    cli("policy", "push", str(folder), "--key", str(folder / "key.pem"), status=1)
    assert "is no private key in PEM" in cli.err
