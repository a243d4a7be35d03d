"""`make demo-agent`, as a person reads it."""

import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).parents[3] / "examples" / "governed_agent" / "demo.py"


def test_a_person_reads_what_was_allowed_what_was_not_and_why() -> None:
    done = subprocess.run([sys.executable, DEMO], capture_output=True, text=True, timeout=200, check=True)
    lines = done.stdout.splitlines()
    said = [line.strip() for line in lines if line.startswith((" ", "needs approval")) and line[:15].strip()]
    assert [line.split("  ")[0] for line in said] == [
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
