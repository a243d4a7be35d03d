"""A governed agent, from its registration to the end of its task: `make demo-agent`.

Starts a server and an agent of its own in a temporary folder, does what an operator does with the `assay` command, runs
agent.py as the AI agent, and says what was allowed, what was not and why, and what the author of the policy could do.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

HERE = Path(__file__).parent
ASSAY = Path(sys.executable).parent / "assay"
OWNER = "person:alice@acme.example"
CRM, PAYROLL = "https://crm.acme.example/mcp", "https://payroll.globex.example/mcp"
COLOURS = {"allowed": "green", "needs approval": "yellow", "denied": "red", "done": "cyan"}
PROCESS = "--instance-from unix:process"
PATIENCE = 60.0

REGISTERED = f"""
owner add {OWNER}
resource add {CRM} --env prod --tenant acme --sensitivity internal
resource add {PAYROLL} --env prod --tenant globex --sensitivity confidential
tool add crm.read --resource {CRM} --action-class consequential_read --risk low
tool add crm.refund --resource {CRM} --action-class irreversible --risk high
tool add payroll.read --resource {PAYROLL} --action-class consequential_read --risk medium
principal register support-bot --actor-type ai_agent --owner {OWNER} --purpose "answer tickets" --env prod --tenant acme
principal update support-bot --risk-class medium --data-class tickets --model acme-llm-4 --tool crm.read \
 --tool crm.refund --tool payroll.read --no-approvals --heartbeat 0 --trigger task_completed --trigger owner_left
principal activate support-bot
"""

AUTHOR = """What the author of the policy could do:
  - [bold]payroll.read[/] is another tenant's, and [bold]crm.refund[/] cannot be undone: no policy set can allow
    the one, nor the other without a human's approval. Both are in the floor (docs/policy.md).
  - Register refunds of little value as a tool of their own, [bold]crm.refund_small[/], of the class
    consequential_write: what can be undone needs no approval by the shipped set, except in production at a high risk.
  - [bold]assay policy init my-policy[/], change it, [bold]assay policy test my-policy[/], and see with
    [bold]assay policy diff my-policy[/] which live tasks would change before [bold]assay policy push my-policy[/].
"""


def main() -> int:
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="assay-demo-") as folder, daemons(Path(folder)) as printed:
        admin, node = found(printed, r"/\S+/admin/\S+"), found(printed, r"spiffe://\S+/spire/agent/\S+")
        console.rule("What the operator does")
        bind = f"principal bind support-bot --parent-id {node} --selector unix:uid:{os.getuid()} {PROCESS}"
        for line in [*REGISTERED.replace("\\\n", "").strip().splitlines(), bind]:
            console.print(f"[dim]$ assay {line}[/]", soft_wrap=True)
            answer = assay(*shlex.split(line), "--socket-path", admin).strip()
            if line.startswith(("owner", "principal")):
                console.print(answer, soft_wrap=True, markup=False)
        console.rule("What the agent does")
        refusals = run_agent(console, found(printed, r"unix:/\S+"))
        console.rule("Why, from the record")
        for decision in refusals:
            console.print(f"[dim]$ assay policy explain {decision}[/]")
            told = assay("policy", "explain", decision, "--socket-path", admin).partition("====")[0]
            console.print(told.strip(), soft_wrap=True, markup=False)
        console.rule()
        console.print(AUTHOR, soft_wrap=True)
    return 0


def run_agent(console: Console, socket: str) -> list[str]:
    """Show what it says; the decisions that refused it."""
    refusals: list[str] = []
    program = [sys.executable, str(HERE / "agent.py"), socket]
    done = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE, check=True)
    for line in done.stdout.splitlines():
        said = json.loads(line)
        outcome = f"[bold {COLOURS[said['outcome']]}]{said['outcome']:>14}[/]"
        console.print(f"{outcome}  {said['what']}", soft_wrap=True)
        console.print(" " * 16 + said["why"], style="dim", soft_wrap=True, markup=False)
        refusals += re.findall(r"dec_\w+", said["why"])
    return refusals


@contextlib.contextmanager
def daemons(folder: Path) -> Iterator[str]:
    """A server and an agent, and what `assay up` printed of them."""
    log = folder / "up.log"
    with log.open("wb") as out:
        process = subprocess.Popen([ASSAY, "up", "--state", str(folder / "s")], stdout=out, stderr=out)
    try:
        until = time.monotonic() + PATIENCE
        while "Ctrl-C" not in log.read_text():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(log.read_text())
            time.sleep(0.1)
        yield log.read_text()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)


def found(text: str, pattern: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise RuntimeError(f"no {pattern} in:\n{text}")
    return match[0]


def assay(*args: str) -> str:
    """What the command prints; the demonstration ends if it fails."""
    done = subprocess.run([str(ASSAY), *args], capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise RuntimeError(f"assay {shlex.join(args)}: {done.stderr}{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
