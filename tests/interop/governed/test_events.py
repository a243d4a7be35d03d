# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""The tool in Node by what an issuer pushes: what it says, in parts, late, from elsewhere, or not at all."""

import time
from typing import Any

import pytest
from tests.interop.governed.scripted import BOT, ENTRY, LIST, ScriptedIssuer, bearer, now

REVOKED = {"jti": "1", "task_id": "tsk_1", "expires_at": 2**40, "revoked_at": 1, "cause": "wrong"}


def error(tool: Any, issuer: ScriptedIssuer, jti: str = "1") -> str:
    """Why the bot's token of that name is refused; empty if it is not."""
    answer = tool.call(issuer.bot, bearer(issuer.token(jti=jti)))
    return "" if answer.status_code == 200 else str(answer.json()["error"])


def wait_held(issuer: ScriptedIssuer, position: int) -> None:
    while issuer.held[-1:] != [{"stream": "s", "position": position}]:
        time.sleep(0.01)


@pytest.fixture
def begun(pushed: Any, issuer: ScriptedIssuer) -> Any:
    """One that holds everything until 10."""
    issuer.events = 'event: stream\ndata: {"stream": "s"}\n\n'
    issuer.tell(10, snapshot=True)
    wait_held(issuer, 10)
    return pushed


def test_as_long_as_it_is_told_no_list_is_asked_for(begun: Any, issuer: ScriptedIssuer) -> None:
    issuer.publish("", 500)
    assert error(begun, issuer) == ""
    assert LIST not in issuer.asked
    issuer.tell(11, revoked=[REVOKED])
    wait_held(issuer, 11)
    assert (error(begun, issuer), error(begun, issuer, "2")) == ("revoked", "")


def test_who_is_withdrawn_is_refused_until_that_is_over(begun: Any, issuer: ScriptedIssuer) -> None:
    bot = str(issuer.authority.id(BOT))
    for position, withdrawn in ((11, True), (12, False)):
        issuer.tell(position, identities=[{"spiffe_id": bot, "withdrawn": withdrawn, "cause": "odd"}])
        wait_held(issuer, position)
        assert error(begun, issuer) == ("revoked" if withdrawn else "")


def test_what_is_said_in_parts_counts_at_once_against_and_only_whole_for_a_token(
    pushed: Any, issuer: ScriptedIssuer
) -> None:
    issuer.events = 'event: stream\ndata: {"stream": "s"}\n\n'
    issuer.tell(10, snapshot=True, more=True, revoked=[REVOKED])
    while error(pushed, issuer) != "revoked":
        pass
    assert (error(pushed, issuer, "2"), LIST in issuer.asked) == ("", True)
    issuer.publish("", 500)
    issuer.tell(10)
    wait_held(issuer, 10)
    assert (error(pushed, issuer), error(pushed, issuer, "2")) == ("revoked", "")


def test_who_is_withdrawn_in_a_part_is_refused_before_the_whole_is_there(begun: Any, issuer: ScriptedIssuer) -> None:
    bot = {"spiffe_id": str(issuer.authority.id(BOT)), "withdrawn": True, "cause": "odd"}
    issuer.tell(11, snapshot=True, more=True, identities=[bot])
    while error(begun, issuer) != "revoked":
        pass
    issuer.tell(11)
    wait_held(issuer, 11)
    assert error(begun, issuer) == "revoked"


def test_when_it_was_told_long_ago_the_list_decides(begun: Any, issuer: ScriptedIssuer) -> None:
    issuer.tell(11, at=now(), interval=0, staleness={"consequential_read": 3})
    wait_held(issuer, 11)
    issuer.publish(issuer.list(ENTRY))
    read = bearer(issuer.token(action_classes={"crm.read": "consequential_read"}))
    assert begun.call(issuer.bot, read).status_code == 200
    # Of the gravest class where the token says none: two seconds are for the way.
    while error(begun, issuer) == "":
        pass
    assert error(begun, issuer) == "revoked"
    while begun.call(issuer.bot, read).status_code == 200:
        pass
    issuer.publish("", 500)
    assert error(begun, issuer, "2") in {"revoked", "status_unknown"}


def test_it_goes_on_from_what_it_holds(begun: Any, issuer: ScriptedIssuer) -> None:
    assert issuer.resumed == [""]
    old, issuer.broken = issuer.broken, type(issuer.broken)()
    issuer.events = 'event: stream\ndata: {"stream": "s"}\n\n'
    old.set()
    while len(issuer.resumed) == 1:
        time.sleep(0.01)
    assert issuer.resumed[1] == "one:10"
    issuer.tell(11, revoked=[REVOKED])
    wait_held(issuer, 11)
    assert error(begun, issuer) == "revoked"


def test_another_store_is_begun_anew(begun: Any, issuer: ScriptedIssuer) -> None:
    issuer.publish("", 500)
    assert error(begun, issuer) == ""
    issuer.tell(11, incarnation="two")
    while len(issuer.resumed) == 1:
        time.sleep(0.01)
    assert issuer.resumed[1] == ""
    assert error(begun, issuer) == "status_unknown"


def test_until_all_of_another_store_is_there_nothing_is_known(begun: Any, issuer: ScriptedIssuer) -> None:
    issuer.publish("", 500)
    issuer.tell(11, incarnation="two", snapshot=True, more=True, revoked=[REVOKED])
    while error(begun, issuer) != "revoked":
        pass
    assert error(begun, issuer, "2") == "status_unknown"
    issuer.tell(11, incarnation="two")
    wait_held(issuer, 11)
    assert error(begun, issuer, "2") == ""


def test_an_issuer_whose_clock_is_ahead_is_not_believed_for_longer(begun: Any, issuer: ScriptedIssuer) -> None:
    issuer.publish("", 500)
    issuer.tell(11, at=now() + 3600, interval=0)
    wait_held(issuer, 11)
    end = now() + 4
    while error(begun, issuer) == "":
        assert now() <= end
