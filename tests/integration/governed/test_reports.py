"""Reports of a verifier on the host, by its agent into the ledger, with real processes."""

import json
from collections.abc import Sequence
from typing import Any

from tests.integration.governed.test_explain import CRM, THUMBPRINT, claims, explained
from tests.integration.governed.test_status import Verifier, verifier
from tests.integration.governed.test_tasks import surely

from assay.governed.authority import Access
from assay.status.view import StatusView
from assay.testing.deployment import Deployment
from assay.workloadapi.tasks import TaskClient
from assay_proto.status.v1 import status_pb2 as pb

BOT = "spiffe://example.test/principal/bot"
KINDS = ("tool.use", "data.access", "privilege.elevation")


async def reported(to: Verifier, first: int, reports: Sequence[pb.Report]) -> int:
    """Up to which number the server has written them down."""
    await to.stream.write(pb.VerifierMessage(reports=pb.Reports(reporter="r1", first=first, reports=reports)))
    while True:
        message = await to.stream.read()
        assert message is not None
        if message.HasField("taken"):
            assert message.taken.reporter == "r1"
            return message.taken.last


async def test_what_a_verifier_reports_is_in_the_tasks_story(governed: Deployment) -> None:
    async with TaskClient(governed.api) as client:
        task = await surely(lambda: client.open("answer ticket 7", [Access(CRM, ("crm.read",))], lasting=600))
        used = claims((await client.credential(task.id, CRM, jkt=THUMBPRINT)).token)
    one: dict[str, Any] = {
        "at": used["iat"], "jti": used["jti"], "task_id": task.id, "audience": CRM, "action": "crm.read",
        "outcome": "allowed", "decision_id": used["decision_id"],
    }  # fmt: skip
    async with verifier(governed, StatusView()) as watching:
        assert await reported(watching, 1, [pb.Report(kind=kind, **one) for kind in KINDS]) == 3
        assert await reported(watching, 1, [pb.Report(kind=kind, **one) for kind in KINDS]) == 3
        wrong = pb.Report(kind="tool.use", **{**one, "audience": "https://erp"})
        assert await reported(watching, 6, [wrong]) == 6

    story = json.loads(explained(governed, task.id, "--output", "json").stdout)
    told = [step for step in story["steps"] if step["actor"] == BOT and "reporter" in step["details"]]
    assert [step["type"] for step in told] == [*KINDS, "exception"]
    assert told[3]["details"]["cause"] == "audience_mismatch"
    assert {step["details"]["decision_id"] for step in told} == {used["decision_id"]}
    assert story["same"] is True
