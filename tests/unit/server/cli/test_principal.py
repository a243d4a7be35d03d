# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""`assay owner|principal|resource|tool|grant`: what an operator reads, and that every answer is there as JSON."""

import os
from typing import Any

import pytest

from assay.testing.deployment import Deployment

PARENT = "spiffe://example.test/parent"


@pytest.fixture(scope="module")
def names() -> Any:
    """Names that no other test uses."""
    numbers = iter(range(1000))
    return lambda kind: f"{kind}{next(numbers)}"


@pytest.fixture
def owner(cli: Any, names: Any) -> str:
    name = f"person:{names('o')}@corp"
    assert cli("owner", "add", name) == f"{name} can own principals\n"
    return name


@pytest.fixture
def tool(cli: Any, names: Any) -> str:
    uri = f"https://{names('crm')}.corp/mcp"
    name: str = names("crm.read")
    cli("resource", "add", uri, "--env", "prod", "--tenant", "acme", "--sensitivity", "internal", "--data-class", "a,b")
    cli("tool", "add", name, "--resource", uri, "--action-class", "consequential_read", "--risk", "low")
    return name


@pytest.fixture
def bot(cli: Any, names: Any, owner: str) -> str:
    """A staged agent that lacks a lot."""
    name: str = names("bot")
    flags = ("--owner", owner, "--purpose", "answer tickets", "--env", "prod", "--tenant", "acme")
    printed = cli("principal", "register", name, "--actor-type", "ai_agent", *flags)
    assert printed == (
        "staged. Missing before it can be activated: risk class (--risk-class), data classes (--data-class), "
        "model (--model), tools (--tool), approval conditions (--approval or --no-approvals), "
        "telemetry requirement (--heartbeat), revocation triggers (--trigger)\n"
    )
    return name


@pytest.fixture
def active(cli: Any, bot: str, tool: str) -> str:
    """An agent that works."""
    flags = ("--risk-class", "low", "--data-class", "customer,ledger", "--model", "acme-4", "--tool", tool)
    more = ("--no-approvals", "--heartbeat", "1m", "--trigger", "owner_left", "--trigger", "timeout")
    assert cli("principal", "update", bot, *flags, *more) == "staged. Nothing is missing\n"
    assert cli("principal", "activate", bot) == "active\n"
    return bot


def test_activation_names_what_is_missing_and_the_flags_that_give_it(cli: Any, bot: str) -> None:
    cli("principal", "activate", bot, status=1)
    assert f'principal "{bot}" cannot be activated; missing: risk class (--risk-class)' in cli.err
    assert f"assay principal update {bot}" in cli.err


def test_a_principal_is_shown_with_all_that_hangs_on_it(cli: Any, active: str, owner: str, tool: str) -> None:
    cli(
        "principal",
        "bind",
        active,
        "--parent-id",
        PARENT,
        "--selector",
        "unix:uid:9",
        "--instance-from",
        "unix:process",
    )
    lines = {tuple(one.strip() for one in line.split(":", 1)) for line in cli("principal", "show", active).splitlines()}
    rows = {one[0]: one[1] for one in lines if len(one) == 2}
    assert (rows["State"], rows["Owner"], rows["Tools"]) == ("active", f"{owner} (active)", tool)
    assert (rows["Heartbeat"], rows["Triggers"]) == ("60 s", "owner_left, timeout")
    assert "instances from unix:process (goes to Assay agents only)" in rows["Binding"]
    shown = cli.json("principal", "show", active)
    assert shown["principal"]["approvals"] == {"action_classes": []}
    assert [one["details"]["change"] for one in shown["events"]] == ["registered", "updated", "activated", "bound"]
    assert shown["events"][0]["actor"] == f"local:{os.getuid()}"


def test_updates_clear_what_is_named(cli: Any, bot: str) -> None:
    cli("principal", "update", bot, "--model", "acme-4", "--heartbeat", "30", "--approval", "irreversible")
    missing = [one["flag"] for one in cli.json("principal", "update", bot, "--clear", "model,approval")["missing"]]
    assert "--model" in missing
    assert "--approval or --no-approvals" in missing
    assert "--heartbeat" not in missing
    for flags in (
        (),
        ("--clear", "owner"),
        ("--clear", "model", "--model", "x"),
        ("--no-approvals", "--approval", "irreversible"),
        ("--heartbeat", "soon"),
    ):
        cli("principal", "update", bot, *flags, status=2)


def test_a_word_that_nobody_knows_is_refused_with_the_nearest(cli: Any, bot: str) -> None:
    cli("principal", "update", bot, "--trigger", "owner-left", status=1)
    assert '"owner-left" is an unknown revocation trigger; did you mean "owner_left"?' in cli.err
    cli("principal", "register", "x", "--actor-type", "robot", "--owner", "team:x", status=1)
    assert "valid here: ai_agent, human, machine, service" in cli.err


def test_suspending_retiring_and_their_refusals(cli: Any, active: str) -> None:
    cli("principal", "bind", active, "--parent-id", PARENT, "--selector", "unix:uid:9")
    said = "1 principal suspended ({}), 0 tasks ended, 0 credentials revoked, 1 binding withheld"
    assert cli("principal", "suspend", active, "--reason", "odd") == f"suspended: {said.format(active)}\n"
    cli("principal", "activate", active, status=1)
    assert f"assay principal resume {active}" in cli.err
    assert cli("principal", "resume", active) == "active\n"
    assert "1 binding deleted" in cli("principal", "retire", active)
    cli("principal", "resume", active, status=1)
    assert "retired is for ever" in cli.err
    assert cli.json("principal", "show", active)["principal"]["state"] == "retired"


def test_an_owner_leaves_and_returns(cli: Any, active: str, owner: str) -> None:
    ended = "0 tasks ended, 0 credentials revoked, 0 bindings withheld"
    assert cli("owner", "leave", owner) == f"{owner} has left: 1 principal suspended ({active}), {ended}\n"
    orphans = [one["principal"]["name"] for one in cli.json("principal", "list", "--orphaned")["principals"]]
    assert orphans == [active]
    assert cli.json("owner", "show", owner)["principals"] == {"suspended": "1"}
    assert owner in [one["name"] for one in cli.json("owner", "list", "--state", "left")["owners"]]
    assert "1 principal is suspended still" in cli("owner", "return", owner)
    assert cli("principal", "resume", active) == "active\n"


def test_principals_are_listed(cli: Any, active: str, owner: str) -> None:
    (one,) = cli.json("principal", "list", "--owner", owner)["principals"]
    assert (one["principal"]["name"], one["owner_state"], one["live_credentials"]) == (active, "active", "0")
    assert cli.json("principal", "list", "--owner", owner, "--unused", "30d")["principals"] == []
    assert "Found 1 principal\n" in cli("principal", "list", "--owner", owner, "--state", "active")
    cli("principal", "list", "--unused", "soon", status=2)


def test_entries_say_whose_bindings_they_are(cli: Any, bot: str, entry: Any) -> None:
    plain = entry(f"/plain-{bot}")
    flags = ("--parent-id", PARENT, "--selector", "unix:uid:9", "--instance-from", "unix:process")
    bound = cli.json("principal", "bind", bot, *flags)["entry_id"]
    shown = cli("entry", "show", "-entryID", bound)
    for label, value in (
        ("Principal", bot),
        ("Instance from", "unix:process; goes to Assay agents only"),
        ("Withheld", "true, while the principal is not active"),
    ):
        assert f"{label:<24}: {value}\n" in shown
    assert [one["principal"] for one in cli.json("entry", "show", "-entryID", bound)["bindings"]] == [bot]
    assert "Principal" not in cli("entry", "show", "-entryID", plain)
    assert "bindings" not in cli.json("entry", "show", "-entryID", plain)
    cli("principal", "unbind", bot, "--entry-id", plain, status=1)
    assert cli("principal", "unbind", bot, "--entry-id", bound) == f"Deleted binding {bound} of {bot}\n"


def test_the_catalogue_keeps_what_is_needed(cli: Any, active: str, tool: str) -> None:
    uri = cli.json("tool", "show", tool)["resource"]
    cli("tool", "remove", tool, status=1)
    assert f'is needed by principal "{active}"' in cli.err
    cli("resource", "remove", uri, status=1)
    assert f'is needed by tool "{tool}"' in cli.err
    assert cli.json("tool", "update", tool, "--risk", "high", "--exports")["exports"] is True
    assert cli.json("tool", "update", tool, "--no-exports") == {
        "name": tool, "resource": uri, "action_class": "consequential_read", "risk": "high", "exports": False,
    }  # fmt: skip
    assert cli.json("resource", "update", uri, "--tenant", "")["tenant"] == ""
    assert cli.json("resource", "show", uri)["data_classes"] == ["a", "b"]
    cli("tool", "update", tool, status=2)
    cli("tool", "update", tool, "--risk", "grave", status=1)
    assert tool in [one["name"] for one in cli.json("tool", "list", "--resource", uri)["tools"]]
    cli("principal", "retire", active)
    assert cli("tool", "remove", tool) == f"Removed {tool}\n"
    assert cli("resource", "remove", uri) == f"Removed {uri}\n"


def test_grants_are_for_humans_or_for_machines(cli: Any, bot: str, names: Any) -> None:
    """Requirements 45 and 46."""
    admin, batch = names("admin"), names("batch")
    cli("grant", "add", admin, "--holder", "human", "--administers")
    cli("grant", "add", batch, "--holder", "machine")
    cli("principal", "update", bot, "--grant", admin, status=1)
    assert f'grant "{admin}" is for humans, not for an actor of type ai_agent' in cli.err
    cli("principal", "update", bot, "--grant", batch)
    cli("grant", "update", batch, "--holder", "human", status=1)
    assert f'principal "{bot}" holds it' in cli.err
    cli("grant", "remove", batch, status=1)
    assert "Grant             : " in cli("grant", "show", batch)
    assert {one["holder"] for one in cli.json("grant", "list", "--holder", "human")["grants"]} == {"human"}
    cli("grant", "remove", admin)


def test_nobody_answers_with_a_trace(cli: Any, deployment: Deployment) -> None:
    for arguments in (
        ("principal", "show", "none"),
        ("principal", "bind", "none", "--parent-id", "x", "--selector", "unix:uid:1"),
        ("principal", "bind", "none", "--parent-id", PARENT, "--selector", "uid"),
        ("owner", "show", "none"),
        ("tool", "show", "none"),
        ("grant", "add", "x y", "--holder", "human"),
        ("resource", "add", "crm", "--env", "prod", "--sensitivity", "secret"),
    ):
        cli(*arguments, status=1)
        assert cli.err.startswith("Error: ")
    assert "Traceback" not in deployment.log("server")
