"""A small scripted AI agent: it says on the agent's socket what it wants to do, and gets what policy allows.

Run by demo.py, which prints what comes of it.
"""

import asyncio
import base64
import json
import sys

from cryptography.hazmat.primitives.asymmetric import ec

from assay.bundle import jwk
from assay.errors import AssayError
from assay.governed.authority import Access
from assay.workloadapi import WorkloadApiClient
from assay.workloadapi.tasks import OpenedTask, TaskClient

PRINCIPAL = "/principal/support-bot"
CRM, PAYROLL = "https://crm.acme.example/mcp", "https://payroll.globex.example/mcp"
READ, REFUND, SALARIES = "crm.read", "crm.refund", "payroll.read"


def say(outcome: str, what: str, why: str = "") -> None:
    """One line of the demonstration; what demo.py and the test read."""
    print(json.dumps({"outcome": outcome, "what": what, "why": why}), flush=True)


class Agent:
    """Its key is made here and never leaves: tokens are bound to it."""

    def __init__(self, tasks: TaskClient) -> None:
        self._tasks = tasks
        self._thumbprint = jwk.thumbprint(jwk.emit(ec.generate_private_key(ec.SECP256R1()).public_key()))

    async def open(self, goal: str, *authority: Access) -> OpenedTask | None:
        wanted = ", ".join(action for access in authority for action in access.actions)
        try:
            task = await self._tasks.open(goal, authority, lasting=600)
        except AssayError as error:
            say("denied", f"open a task with {wanted}", str(error))
            return None
        say("allowed", f"open a task with {wanted}", f"{task.id}, for {task.ends_at - task.opened_at} seconds")
        return task

    async def use(self, task: OpenedTask, resource: str, action: str) -> None:
        try:
            token = await self._tasks.credential(task.id, resource, actions=[action], jkt=self._thumbprint)
        except AssayError as error:
            needs = "needs approval" if "approv" in str(error) else "denied"
            say(needs, f"{action}", str(error))
            return
        say("allowed", f"{action}", f"a token for {resource} alone, bound to this agent's key: {claims(token.token)}")


def claims(token: str) -> str:
    """The part of the token that a tool looks at."""
    payload = token.split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    actions = ", ".join(said["authorization_details"][0]["actions"])
    return f"{said['sub']} may {actions} for {said['exp'] - said['iat']} seconds"


async def main(socket: str) -> None:
    async with WorkloadApiClient(socket) as workload:
        me = next(one.spiffe_id for one in (await workload.fetch_x509()).svids if PRINCIPAL in str(one.spiffe_id))
        say("allowed", "an X.509-SVID", f"it says which copy of which principal this is: {me}")
        try:
            await workload.fetch_jwt(CRM, me)
            say("allowed", "a token without a task")
        except AssayError as error:
            say("denied", "a token without a task", str(error))
    async with TaskClient(socket) as tasks:
        agent = Agent(tasks)
        await agent.open("answer ticket 7 and look up salaries", Access(CRM, (READ,)), Access(PAYROLL, (SALARIES,)))
        task = await agent.open("answer ticket 7", Access(CRM, (READ, REFUND)))
        if task is None:
            return
        await agent.use(task, CRM, READ)
        await agent.use(task, CRM, REFUND)
        await agent.use(task, PAYROLL, SALARIES)
        await tasks.complete(task.id)
        say("done", "the task is complete", "what it handed out is revoked")
        await agent.use(task, CRM, READ)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
