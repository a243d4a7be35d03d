"""Golden tables."""

import pytest

from assay.errors import InvalidArgumentError
from assay_server.policy.engine import shipped
from assay_server.policy.golden import cases_of, failed, run

HEAD = '[[case]]\nname = "one"\n'


def test_the_shipped_table_comes_out_as_written() -> None:
    assert failed(shipped(), shipped().bundle.tests) == []


@pytest.mark.parametrize(
    ("case", "wrong"),
    [
        ('expect = "deny"', 'tests.toml:1: "one": expected deny, got allow (permitted by within-the-task)'),
        ('expect = "allow"\nttl = 60', 'tests.toml:1: "one": expected a TTL of 60 s, got 300 s'),
        ('expect = "allow"\npolicies = ["other"]', 'tests.toml:1: "one": expected it by other, got allow'),
    ],
)
def test_what_comes_out_otherwise_is_told(case: str, wrong: str) -> None:
    (found,) = failed(shipped(), HEAD + case)
    assert found.startswith(wrong)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[[case]", "tests.toml: ", ""),
        ("[[cases]]\nx = 1", "tests.toml: cases is not known", "write [[case]]"),
        ('\n[[case]]\nexpcet = "deny"', "tests.toml:2: a case has no expcet", "did you mean expect?"),
        ('[[case]]\nexpect = "denied"', "tests.toml:1: expect is one of allow, deny, needs_approval", "mean deny?"),
        (HEAD, "tests.toml:1: expect is one of", ""),
        (HEAD + 'expect = "deny"\npoint = "tool:cal"', "tests.toml:1: point is one of", "did you mean tool:call?"),
        (
            HEAD + 'expect = "deny"\nprincipal = { enviroment = "sandbox" }',
            'tests.toml:1: "one": principal has no enviroment',
            "did you mean environment?",
        ),
        (HEAD + 'expect = "deny"\ntool = { risk = "hihg" }', 'tests.toml:1: "one": tool.risk: ', ""),
        (HEAD + 'expect = "deny"\ntool = "x"', "tests.toml:1: inputs are tables", ""),
        (HEAD + 'expect = "deny"\ntask = { ends_in = "soon" }', 'tests.toml:1: "one": ', ""),
        ("case = 1", "tests.toml: write at most", ""),
        ("case = [1]", "tests.toml:0: a case is a table", ""),
    ],
)
def test_a_table_that_cannot_be_run_says_why(text: str, message: str, hint: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        cases_of(text)
    assert refused.value.message.startswith(message)
    assert hint in refused.value.hint


def test_a_case_may_say_the_time_as_a_date() -> None:
    (case,) = cases_of(HEAD + 'expect = "allow"\nrequest = { now = 2026-11-22T03:00:00Z }')
    (result,) = run(shipped(), [case])
    assert (result.decision.at, result.wrong) == (1_795_316_400, "")
