"""A governed agent, from its registration to the proof of what it did: `make demo-agent`.

Starts a server and an agent of its own in a temporary folder, does what an operator does with the `assay` command, runs
tool.py twice and agent.py as the AI agent, and says what was allowed, what was not and why, when what had ended was
refused by everybody, what proves all that, and what the author of the policy could do.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

HERE = Path(__file__).parent
ASSAY = Path(sys.executable).parent / "assay"
OWNER = "person:alice@acme.example"
CRM, PAYROLL = "https://crm.acme.example/mcp", "https://payroll.globex.example/mcp"
COLOURS = {"allowed": "green", "needs approval": "yellow", "denied": "red", "refused": "red"}
PROCESS = "--instance-from unix:process"
TOOL = "spiffe://example.org/tool/crm"
TOOLS = 2
PATIENCE = 60.0
FAULTY = 3
"""The exit status of `assay ledger verify` for what is not what was signed."""

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


@dataclass
class House:
    """The daemons' sockets and the terminal."""

    console: Console
    admin: str
    api: str
    refusals: list[str] = field(default_factory=list[str])
    tasks: list[str] = field(default_factory=list[str])

    def assay(self, line: str, *, shown: bool = True, status: int = 0) -> str:
        """What an operator's command prints."""
        self.console.print(f"[dim]$ assay {line}[/]", soft_wrap=True)
        answer = assay(*shlex.split(line), "--socket-path", self.admin, status=status).strip()
        if shown:
            self.console.print(answer, soft_wrap=True, markup=False)
        return answer


def main() -> int:
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="assay-demo-") as folder, daemons(Path(folder)) as printed:
        house = House(console, found(printed, r"/\S+/admin/\S+"), found(printed, r"unix:/\S+"))
        console.rule("What the operator does")
        register(house, found(printed, r"spiffe://\S+/spire/agent/\S+"))
        with tools(house.api, Path(folder)) as ports:
            console.rule("What the agent does")
            run_agent(house, ports)
        console.rule("Why, from the record")
        for decision in house.refusals:
            told = house.assay(f"policy explain {decision}", shown=False).partition("====")[0]
            console.print(told.strip(), soft_wrap=True, markup=False)
        console.rule("What was authorised, and that nobody has changed a word of it")
        prove(house, Path(folder))
        console.rule()
        console.print(AUTHOR, soft_wrap=True)
    return 0


def register(house: House, node: str) -> None:
    me = f"--parent-id {node} --selector unix:uid:{os.getuid()}"
    bind = f"principal bind support-bot {me} {PROCESS}"
    # What a workload reports is put down to the first of its entries, and here all of them run as one user.
    house.assay(f"entry create --entry-id 0-tool --spiffe-id {TOOL} {me}", shown=False)
    for line in [*REGISTERED.replace("\\\n", "").strip().splitlines(), bind]:
        house.assay(line, shown=line.startswith(("owner", "principal")))


def run_agent(house: House, ports: Sequence[int]) -> None:
    """Show what it says, and stop it when it goes on and on."""
    program = [sys.executable, str(HERE / "agent.py"), house.api, *map(str, ports)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as agent:
        for line in agent.stdout or ():
            said = json.loads(line)
            outcome = f"[bold {COLOURS.get(said['outcome'], 'cyan')}]{said['outcome']:>14}[/]"
            house.console.print(f"{outcome}  {said['what']}", soft_wrap=True)
            if said["why"]:
                house.console.print(" " * 16 + said["why"], style="dim", soft_wrap=True, markup=False)
            house.refusals += re.findall(r"dec_\w+", said["why"])
            house.tasks += re.findall(r"^tsk_\w+", said["why"])
            if said["outcome"] == "goes on":
                house.assay("revoke --principal support-bot --dry-run")
                house.assay('revoke --principal support-bot --suspend --reason "it goes on and on" --wait 10s')
    if agent.returncode:
        raise RuntimeError(f"agent.py ended with {agent.returncode}")


def prove(house: House, folder: Path) -> None:
    """Replay the decisions of the first task, take the ledger away, and see what becomes of a lie in it."""
    house.assay(f"ledger explain {house.tasks[0]}")
    ledger, key, lie = folder / "ledger.jsonl", folder / "ledger-key.json", folder / "lie.jsonl"
    key.write_text(house.assay("ledger key", shown=False))
    ledger.write_text(house.assay("ledger export", shown=False) + "\n")
    house.console.print(verified(ledger, key, 0), soft_wrap=True, markup=False)
    house.console.print(
        "[dim]$ sed 's/it goes on and on/it was never seen/' ledger.jsonl > lie.jsonl[/]", soft_wrap=True
    )
    lie.write_text(ledger.read_text().replace("it goes on and on", "it was never seen"))
    house.console.print(verified(lie, key, FAULTY), soft_wrap=True, markup=False)


def verified(ledger: Path, key: Path, status: int) -> str:
    answer = assay("ledger", "verify", str(ledger), "--key", str(key), status=status)
    return f"$ assay ledger verify {ledger.name} --key {key.name}\n{answer.strip()}"


@contextlib.contextmanager
def tools(api: str, folder: Path) -> Iterator[list[int]]:
    """The processes of the tool, and their ports."""
    ports = [free_port() for _ in range(TOOLS)]
    log = folder / "tool.log"
    with log.open("wb") as out, contextlib.ExitStack() as stack:
        for port in ports:
            program = [sys.executable, str(HERE / "tool.py"), api, TOOL, str(port)]
            process = stack.enter_context(subprocess.Popen(program, stdout=out, stderr=out))
            stack.callback(process.terminate)
        until = time.monotonic() + PATIENCE
        while not all(listening(port) for port in ports):
            if time.monotonic() > until:
                raise RuntimeError(log.read_text())
            time.sleep(0.1)
        yield ports


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


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


def assay(*args: str, status: int = 0) -> str:
    """What the command prints; the demonstration ends if it ends otherwise than with that status."""
    done = subprocess.run([str(ASSAY), *args], capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != status:
        raise RuntimeError(f"assay {shlex.join(args)}: {done.stderr}{done.stdout}")
    return done.stdout + (done.stderr if status else "")


if __name__ == "__main__":
    sys.exit(main())
