"""assay.policy.v1.Policies: policies pushed, rolled back, looked at, and compared with what runs."""

import asyncio
import json

from assay.errors import AssayError, UnavailableError
from assay.rpc.method import Context
from assay_proto.policy.v1 import policy_pb2 as pb
from assay_server.api.actor import actor_of
from assay_server.api.page import page_from_proto
from assay_server.api.policy_values import decision_to_proto
from assay_server.governance.policies import Policies
from assay_server.governance.policyreview import Changed, PolicyReview
from assay_server.governance.policystore import PolicyStore, reviewed
from assay_server.model.governed.policybundle import PolicyBundle
from assay_server.policy.engine import compiled
from assay_server.policy.signature import verified

LISTED = 1000
"""Changes that a diff lists."""


class PolicyApi:
    """The Policies service; handlers translate and leave the deciding to the services behind."""

    def __init__(self, versions: PolicyStore, policies: Policies, review: PolicyReview) -> None:
        self._versions = versions
        self._policies = policies
        self._review = review

    async def Push(self, request: pb.PushRequest, context: Context) -> pb.PushResponse:
        """A new version, which is live at once."""
        pushed = await self._versions.push(dict(request.files), request.tests, request.signature, actor_of(context))
        return pb.PushResponse(bundle=_bundle(pushed, live=pushed.version))

    async def Rollback(self, request: pb.RollbackRequest, context: Context) -> pb.RollbackResponse:
        """A version of before, live again."""
        previous = (await self._versions.live()).bundle.version
        bundle = await self._versions.rollback(request.version, actor_of(context))
        return pb.RollbackResponse(bundle=_bundle(bundle, live=bundle.version), previous_version=previous)

    async def Live(self, request: pb.LiveRequest, context: Context) -> pb.LiveResponse:
        """The live version, and whether it can be used."""
        live = await self._versions.live()
        unusable = ""
        try:
            await self._policies.current()
        except UnavailableError as error:
            unusable = error.message
        bundle = _bundle(live.bundle, live=live.bundle.version, whole=True)
        return pb.LiveResponse(bundle=bundle, highest_version=live.highest, unusable=unusable)

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """All versions that were pushed, oldest first."""
        live = (await self._versions.live()).bundle.version
        found, token = await self._versions.find(page_from_proto(request))
        return pb.ListResponse(bundles=[_bundle(each, live=live) for each in found], next_page_token=token)

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.Bundle:
        """One version with its files."""
        live = (await self._versions.live()).bundle.version
        return _bundle(await self._versions.get(request.version), live=live, whole=True)

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:
        """A decision, told again."""
        found = await self._review.explain(request.decision_id)
        replayed = found.replayed
        return pb.ExplainResponse(
            decision=decision_to_proto(found.decision),
            policy_texts=found.texts,
            inputs=json.dumps(found.decision.inputs, sort_keys=True),
            replayed=decision_to_proto(replayed.answer) if replayed.answer else None,
            same=replayed.same,
            why_not_replayed=replayed.why_not,
        )

    async def Diff(self, request: pb.DiffRequest, context: Context) -> pb.DiffResponse:
        """What live tasks would be answered by these files."""
        before = await self._policies.current()
        after = await asyncio.to_thread(lambda: compiled(reviewed(dict(request.files), request.tests)))
        answer = pb.DiffResponse()
        async for number, changes in self._review.differences(before, after):
            answer.tasks += number
            left = LISTED - len(answer.changes)
            answer.changes.extend(_change(each) for each in changes[:left])
            answer.more = answer.more or len(changes) > left
        return answer


def _bundle(bundle: PolicyBundle, *, live: int, whole: bool = False) -> pb.Bundle:
    return pb.Bundle(
        version=bundle.version,
        digest=bundle.digest,
        schema_version=bundle.schema_version,
        files=bundle.files if whole else {},
        tests=bundle.tests if whole else "",
        signature=bundle.signature,
        pushed_at=bundle.pushed_at,
        pushed_by=bundle.pushed_by,
        signer=_signer(bundle),
        live=bundle.version == live,
    )


def _signer(bundle: PolicyBundle) -> str:
    try:
        return verified(bundle.signature).signer if bundle.signature else ""
    except AssayError:
        return ""  # what is not what was signed is shown without a signer


def _change(changed: Changed) -> pb.DiffResponse.Change:
    return pb.DiffResponse.Change(
        task_id=changed.task_id,
        principal=changed.principal,
        tool=changed.tool,
        before=decision_to_proto(changed.before),
        after=decision_to_proto(changed.after),
    )
