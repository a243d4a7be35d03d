"""A verifier beside real daemons: what it takes, and what it refuses when, while the server is killed and is back."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import pytest

from assay.backoff import Backoff
from assay.clock import SystemClock
from assay.errors import PermissionDeniedError, UnavailableError
from assay.governed.authority import Access
from assay.svid.dpop import DpopKey
from assay.svid.refusal import Reason, RefusedError
from assay.tasktoken import DpopProof, TaskTokenVerifier
from assay.tasktoken.status import PushedStatus
from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.workloadapi import JwtBundleSource
from assay.workloadapi.tasks import OpenedTask, TaskClient

CRM = "https://crm/mcp"
READING = [Access(CRM, ("crm.read",))]
PATIENCE = 60.0


class Tool:
    """The tool with its verifier, and the agent that calls it."""

    def __init__(self, deployment: Deployment, bundles: JwtBundleSource, status: PushedStatus) -> None:
        self.status = status
        self._api = deployment.api
        self._key = DpopKey.create()
        self._verifier = TaskTokenVerifier(bundles, f"spiffe://{TRUST_DOMAIN}", CRM, status)

    async def token(self) -> tuple[OpenedTask, str]:
        async with TaskClient(self._api) as tasks:
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    task = await tasks.open("answer ticket 7", READING, lasting=600)
                    return task, (await tasks.credential(task.id, CRM, jkt=self._key.thumbprint)).token
                except (UnavailableError, PermissionDeniedError):
                    if time.monotonic() > end:
                        raise
                await asyncio.sleep(0.1)

    async def complete(self, task: OpenedTask) -> None:
        async with TaskClient(self._api) as tasks:
            await tasks.complete(task.id)

    def reason(self, token: str, action: str = "crm.read") -> Reason | None:
        proof = self._key.prove("POST", CRM, SystemClock().now(), access_token=token)
        try:
            self._verifier.verify(token, DpopProof(proof, "POST", CRM), action)
        except RefusedError as refusal:
            return refusal.reason
        return None

    async def until(self, token: str, *reasons: Reason | None, action: str = "crm.read") -> None:
        async with asyncio.timeout(PATIENCE):
            while self.reason(token, action) not in reasons:  # noqa: ASYNC110 - who grows old tells nobody
                await asyncio.sleep(0.02)


@pytest.fixture
async def tool(governed: Deployment) -> AsyncIterator[Tool]:
    soon = Backoff(first=0.05, limit=0.5)
    async with (
        JwtBundleSource(governed.api, backoff=soon) as bundles,
        PushedStatus(governed.api, backoff=soon) as status,
    ):
        yield Tool(governed, bundles, status)


async def test_a_token_of_the_server_is_taken_until_its_task_is_complete(tool: Tool) -> None:
    task, token = await tool.token()
    other_task, other = await tool.token()
    assert tool.reason(token) is None
    assert tool.reason(token, "crm.refund") is Reason.ACTION_NOT_ALLOWED
    await tool.complete(task)
    await tool.until(token, Reason.REVOKED)
    assert tool.reason(other) is None
    await tool.complete(other_task)


async def test_a_suspended_principals_tokens_are_refused(tool: Tool, governed: Deployment) -> None:
    _, token = await tool.token()
    governed.register("/tool")  # who is told does not go with the principal
    governed.run("principal", "suspend", "bot", "--reason", "odd", "--socket-path", str(governed.admin))
    await tool.until(token, Reason.REVOKED, Reason.WITHDRAWN)


async def test_while_the_server_is_away_reads_go_on_and_nothing_else_does(tool: Tool, governed: Deployment) -> None:
    """Requirement 39. Without an action it is judged as the gravest."""
    task, token = await tool.token()
    assert (tool.reason(token), tool.reason(token, "")) == (None, None)
    governed.stop("server", signal.SIGKILL)
    await tool.until(token, Reason.STATUS_UNKNOWN, action="")
    assert tool.reason(token) is None
    governed.start_server()
    await tool.until(token, None, action="")
    await tool.complete(task)
    await tool.until(token, Reason.REVOKED)
