# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""The tools in Node and in Go, by status lists that are right, and by all that are wrong."""

import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.interop.governed.scripted import ENTRY, LIST, ScriptedIssuer, bearer, now, packed, resigned

from assay.clock import SystemClock
from assay.testing.authority import Authority

EXAMPLES = Path(__file__).parents[3] / "examples"
CROWD = 8


def test_it_reads_the_drafts_lists_itself(program: list[str]) -> None:
    with_go = len(program) == 1
    folder = EXAMPLES / ("verify_go" if with_go else "verify_node")
    subprocess.run(["go", "test", "."] if with_go else [program[0], "--test", "."], cwd=folder, check=True)


Lists = Callable[[ScriptedIssuer], Any]
UNKNOWN: Mapping[str, Lists] = {
    "by another key": lambda it: it.publish(resigned(it, it.list())),
    "by another issuer": lambda it: it.publish(Authority(now=SystemClock().now()).token({"typ": "statuslist+jwt"}, {})),
    "of another type": lambda it: it.publish(it.list(typ="JWT")),
    "of another name": lambda it: it.publish(it.list(sub=f"{it.name}/status/8")),
    "expired": lambda it: it.publish(it.list(exp=now() - 1)),
    "of tomorrow": lambda it: it.publish(it.list(iat=now() + 86400)),
    "without its time": lambda it: it.publish(it.list(iat=None)),
    "without an end": lambda it: it.publish(it.list(exp=None)),
    "without ttl": lambda it: it.publish(it.list(ttl=None)),
    "with ttl 0": lambda it: it.publish(it.list(ttl=0)),
    "without a list": lambda it: it.publish(it.list(status_list=None)),
    "of three bits": lambda it: it.publish(it.list(bits=3)),
    "with a list cut off": lambda it: it.publish(it.list(status_list={"bits": 1, "lst": packed(bytes(99))[:-3]})),
    "too short": lambda it: it.publish(it.list(bytes(1))),
    "that unpacks to more than is sound": lambda it: it.publish(it.list(bytes(16 << 20))),
    "that was cut off": lambda it: it.publish(it.list()[:-9]),
    "that is no token": lambda it: it.publish("{}"),
    "as another kind of page": lambda it: it.publish(it.list(), kind="application/json"),
    "that is not there": lambda it: it.publish("", 404),
    "that cannot be had": lambda it: it.publish(it.list(), 500),
    "that is elsewhere": lambda it: it.publish("", 302),
    "of nobody who is known": lambda it: it.say("/jwks", {"keys": []}),
    "of an issuer that says it is another": lambda it: it.say(
        "/.well-known/oauth-authorization-server", {"issuer": "https://elsewhere", "jwks_uri": f"{it.name}/jwks"}
    ),
}


@pytest.mark.parametrize("publish", UNKNOWN.values(), ids=UNKNOWN)
def test_by_a_wrong_list_nothing_is_allowed(fresh: Any, issuer: ScriptedIssuer, publish: Lists) -> None:
    publish(issuer)
    answer = fresh.call(issuer.bot, bearer(issuer.token()))
    assert answer.status_code in {401, 503}
    assert answer.json()["error"] in {"status_unknown", "unknown_key"}


@pytest.mark.parametrize(("statuses", "bits"), [(ENTRY, 1), (bytes([0, 0, 0b1000]), 2), (bytes(9) + b"\x0b", 8)])
def test_who_is_on_the_list_is_refused(fresh: Any, issuer: ScriptedIssuer, statuses: bytes, bits: int) -> None:
    issuer.publish(issuer.list(statuses, bits=bits))
    answer = fresh.call(issuer.bot, bearer(issuer.token()))
    assert (answer.status_code, answer.json()["error"]) == (401, "revoked")
    idx = {"idx": 8, "uri": issuer.name + LIST}
    assert fresh.call(issuer.bot, bearer(issuer.token(status={"status_list": idx}))).status_code == 200


def test_it_obeys_a_new_list_at_once_after_the_old_ones_ttl(fresh: Any, issuer: ScriptedIssuer) -> None:
    token = bearer(issuer.token())
    assert fresh.call(issuer.bot, token).status_code == 200
    issuer.publish(issuer.list(ENTRY))
    assert fresh.call(issuer.bot, token).json()["error"] == "revoked"


def test_a_list_that_rolls_back_is_refused_until_a_newer_one_comes(fresh: Any, issuer: ScriptedIssuer) -> None:
    token = bearer(issuer.token())
    old = issuer.list(iat=now() - 10)
    issuer.publish(issuer.list(ENTRY))
    assert fresh.call(issuer.bot, token).json()["error"] == "revoked"
    issuer.publish(old)
    for _ in range(3):
        assert fresh.call(issuer.bot, token).json()["error"] == "status_unknown"
    issuer.publish(issuer.list(iat=now() + 1))
    while fresh.call(issuer.bot, token).status_code != 200:  # what failed is asked for again after a second
        pass


def test_a_list_is_asked_for_once_in_its_ttl_and_by_all_together(fresh: Any, issuer: ScriptedIssuer) -> None:
    issuer.publish(issuer.list(ttl=600))
    token = bearer(issuer.token())
    with ThreadPoolExecutor(CROWD) as crowd:
        answers = list(crowd.map(lambda _: fresh.call(issuer.bot, token).status_code, range(2 * CROWD)))
    assert answers == [200] * 2 * CROWD
    assert (issuer.asked.count(LIST), issuer.asked.count("/jwks")) == (1, 1)


def test_no_list_counts_after_its_end_whatever_its_ttl(fresh: Any, issuer: ScriptedIssuer) -> None:
    end = now() + 2
    issuer.publish(issuer.list(ttl=600, exp=end))
    token = bearer(issuer.token())
    assert fresh.call(issuer.bot, token).status_code == 200
    while True:
        begun = SystemClock().now().timestamp()
        answer = fresh.call(issuer.bot, token)
        if answer.status_code != 200:
            break
        assert begun < end
    assert answer.json()["error"] == "status_unknown"


def test_a_key_that_is_new_is_found(fresh: Any, issuer: ScriptedIssuer) -> None:
    assert fresh.call(issuer.bot, bearer(issuer.token())).status_code == 200
    before = issuer.authority.jwt_key_id
    issuer.authority.jwt_key_id = "new"
    try:
        issuer.reset()
        while fresh.call(issuer.bot, bearer(issuer.token())).status_code != 200:  # unknown keys: once in five seconds
            pass
    finally:
        issuer.authority.jwt_key_id = before
