"""`make demo-agent`, as a person reads it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[3] / "examples" / "governed_agent" / "demo.py"
OUTCOMES = r"^ *(allowed|denied|needs approval|done|refused|goes on)  "


@pytest.mark.timeout(240)
def test_a_person_reads_what_was_allowed_what_was_not_why_when_it_ended_and_what_proves_it() -> None:
    done = subprocess.run([sys.executable, DEMO], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    text, said = done.stdout, done.stdout.partition("What the agent does")[2].partition("Why, from the record")[0]
    assert re.findall(OUTCOMES, said, re.MULTILINE) == [
        *("allowed", "denied", "denied", "allowed"),  # an SVID, no token without a task, a task too large, a task
        *("allowed", "allowed", "allowed"),  # a token, and both processes of the tool take it
        *("needs approval", "denied", "done", "refused", "refused", "denied"),  # the task's end, for both
        *("allowed", "allowed", "goes on", "refused", "refused"),  # another one, which the operator ends
    ]
    assert "staged. Missing before it can be activated" in text
    assert 'payroll.globex.example/mcp is not of tenant "acme"' in text
    assert "Replayed        : same answer" in text
    assert "spiffe://example.org/principal/support-bot/" in text
    assert len(re.findall(r"^ +revoked, \d+ ms after the agent said that it is done$", said, re.MULTILINE)) == 2
    assert "2 of 2 connected verifiers confirmed in" in said
    assert re.findall(r"^\S+ +\S+ +tool\.use +allowed: crm\.read", text, re.MULTILINE), text
    assert "the same answer" in text.partition("ledger explain")[2]
    proven, _, lie = text.partition("$ assay ledger verify ledger.jsonl")[2].partition(
        "$ assay ledger verify lie.jsonl"
    )
    assert re.search(r"Verified: \d+ records", proven)
    assert re.search(r"record \d+", lie)
