"""A small scripted AI agent: it says on the agent's socket what it wants to do, gets what policy allows, and does it.

Run by demo.py, which prints what comes of it: python agent.py SOCKET PORT..., the ports of the tool's processes.
"""

import asyncio
import base64
import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from assay.authorize import path_prefix
from assay.crypto.certificate import thumbprint
from assay.errors import AssayError
from assay.governed.authority import Access
from assay.spiffeid import SpiffeId, TrustDomain
from assay.tls import X509Identity, client_context
from assay.workloadapi import WorkloadApiClient, X509Source
from assay.workloadapi.tasks import OpenedTask, TaskClient

PRINCIPAL = "/principal/support-bot"
CRM, PAYROLL = "https://crm.acme.example/mcp", "https://payroll.globex.example/mcp"
READ, REFUND, SALARIES = "crm.read", "crm.refund", "payroll.read"
READ_TICKET = "/tickets/7"
BRIEFLY, A_WHILE = 0.005, 0.1
PATIENCE = 30.0


def say(outcome: str, what: str, why: str = "") -> None:
    """One line of the demonstration; what demo.py and the test read."""
    print(json.dumps({"outcome": outcome, "what": what, "why": why}), flush=True)


@dataclass(frozen=True)
class Answer:
    """Status and words of one call; `ended` is when it was answered, by a clock that all processes share."""

    status: int
    said: str
    ended: float

    @property
    def allowed(self) -> bool:
        return self.status == http.client.OK


class Tool:
    """One process of the tool, by a connection that stays open."""

    def __init__(self, identity: X509Identity, domain: TrustDomain, port: int) -> None:
        context = client_context(identity, path_prefix(domain, "/tool"))
        self._connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=PATIENCE)

    def call(self, token: str) -> Answer:
        self._connection.request("POST", READ_TICKET, headers={"authorization": f"Bearer {token}"})
        answer = self._connection.getresponse()
        said = json.loads(answer.read())
        return Answer(answer.status, said.get("says") or said["reason"], time.monotonic())

    def close(self) -> None:
        self._connection.close()


class Refusal:
    """Calls a tool again and again, until it refuses."""

    def __init__(self, tool: Tool, token: str, pause: float) -> None:
        self.calls = 0
        self.answer: Answer | None = None
        self._thread = threading.Thread(target=self._run, args=(tool, token, pause))
        self._thread.start()

    def wait(self) -> Answer:
        self._thread.join(PATIENCE)
        if self.answer is None:
            raise RuntimeError("the tool refuses nothing")
        return self.answer

    def _run(self, tool: Tool, token: str, pause: float) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            answer = tool.call(token)
            self.calls += 1
            if not answer.allowed:
                self.answer = answer
                return
            time.sleep(pause)


@contextmanager
def tools(identity: X509Identity, domain: TrustDomain, ports: Sequence[int]) -> Iterator[list[Tool]]:
    with ExitStack() as stack:
        found = [Tool(identity, domain, port) for port in ports]
        for one in found:
            stack.callback(one.close)
        yield found


class Agent:
    """Its tokens are bound to its certificate, whose key never leaves this process."""

    def __init__(self, tasks: TaskClient, certificate: bytes, crm: Sequence[Tool]) -> None:
        self._tasks = tasks
        self._thumbprint = thumbprint(certificate)
        self._crm = crm

    async def open(self, goal: str, *authority: Access) -> OpenedTask | None:
        wanted = ", ".join(action for access in authority for action in access.actions)
        try:
            task = await self._tasks.open(goal, authority, lasting=600)
        except AssayError as error:
            say("denied", f"open a task with {wanted}", str(error))
            return None
        say("allowed", f"open a task with {wanted}", f"{task.id}, for {task.ends_at - task.opened_at} seconds")
        return task

    async def use(self, task: OpenedTask, resource: str, action: str) -> str:
        """A token; empty if there is none."""
        try:
            token = await self._tasks.credential(task.id, resource, actions=[action], x5t_s256=self._thumbprint)
        except AssayError as error:
            needs = "needs approval" if "approv" in str(error) else "denied"
            say(needs, f"{action}", str(error))
            return ""
        bound = f"a token for {resource} alone, bound to this agent's certificate: {claims(token.token)}"
        say("allowed", f"{action}", bound)
        return token.token

    async def call(self, token: str) -> None:
        """Both processes of the tool."""
        for number, tool in enumerate(self._crm, 1):
            answer = await asyncio.to_thread(tool.call, token)
            say("allowed" if answer.allowed else "denied", f"{READ} at crm-{number}", answer.said)

    async def complete(self, task: OpenedTask, token: str) -> None:
        """The end of a task, and when it is one for those who take its tokens: it goes on calling them meanwhile."""
        refusals = [Refusal(tool, token, BRIEFLY) for tool in self._crm]
        since = time.monotonic()
        await self._tasks.complete(task.id)
        say("done", "the task is complete", "what it handed out is revoked")
        for number, refusal in enumerate(refusals, 1):
            answer = await asyncio.to_thread(refusal.wait)
            after = f"{answer.said}, {(answer.ended - since) * 1000:.0f} ms after the agent said that it is done"
            say("refused", f"{READ} at crm-{number}", after)

    async def stopped(self, token: str) -> None:
        """It goes on until somebody else ends it."""
        refusals = [Refusal(tool, token, A_WHILE) for tool in self._crm]
        say("goes on", f"calling {READ}")
        for number, refusal in enumerate(refusals, 1):
            answer = await asyncio.to_thread(refusal.wait)
            say("refused", f"{READ} at crm-{number}", f"{answer.said}, after {refusal.calls} calls")


def claims(token: str) -> str:
    """The part of the token that a tool looks at."""
    payload = token.split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    actions = ", ".join(said["authorization_details"][0]["actions"])
    return f"{said['sub']} may {actions} for {said['exp'] - said['iat']} seconds"


async def introduced(socket: str) -> SpiffeId:
    """Which copy of which principal this is, and that nothing more comes of it."""
    async with WorkloadApiClient(socket) as workload:
        me = next(one.spiffe_id for one in (await workload.fetch_x509()).svids if PRINCIPAL in str(one.spiffe_id))
        say("allowed", "an X.509-SVID", f"it says which copy of which principal this is: {me}")
        try:
            await workload.fetch_jwt(CRM, me)
            say("allowed", "a token without a task")
        except AssayError as error:
            say("denied", "a token without a task", str(error))
    return me


async def main(socket: str, ports: Sequence[int]) -> None:
    me = await introduced(socket)
    async with X509Source(socket, spiffe_id=me) as source, TaskClient(socket) as tasks:
        with tools(source, me.trust_domain, ports) as crm:
            await work(Agent(tasks, source.svid().chain[0], crm))


async def work(agent: Agent) -> None:
    await agent.open("answer ticket 7 and look up salaries", Access(CRM, (READ,)), Access(PAYROLL, (SALARIES,)))
    task = await agent.open("answer ticket 7", Access(CRM, (READ, REFUND)))
    if task is None:
        return
    token = await agent.use(task, CRM, READ)
    await agent.call(token)
    await agent.use(task, CRM, REFUND)
    await agent.use(task, PAYROLL, SALARIES)
    await agent.complete(task, token)
    await agent.use(task, CRM, READ)
    another = await agent.open("answer ticket 8", Access(CRM, (READ,)))
    if another is not None:
        await agent.stopped(await agent.use(another, CRM, READ))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], [int(port) for port in sys.argv[2:]]))
