"""`make demo-agent`, as a person reads it."""

import re
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parents[3] / "examples" / "governed_agent" / "demo.py"


def test_a_person_reads_what_was_allowed_what_was_not_and_why() -> None:
    done = subprocess.run([sys.executable, DEMO], capture_output=True, text=True, timeout=200, check=True)
    said = done.stdout.partition("What the agent does")[2].partition("Why, from the record")[0]
    assert re.findall(r"^ *(allowed|denied|needs approval|done)  ", said, re.MULTILINE) == [
        "allowed",
        "denied",
        "denied",
        "allowed",
        "allowed",
        "needs approval",
        "denied",
        "done",
        "denied",
    ]
    assert "staged. Missing before it can be activated" in done.stdout
    assert 'payroll.globex.example/mcp is not of tenant "acme"' in done.stdout
    assert "Replayed        : same answer" in done.stdout
    assert "spiffe://example.org/principal/support-bot/" in done.stdout
