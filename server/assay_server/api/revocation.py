"""assay.revocation.v1.Revocations: ending all of a kind before its time."""

from assay.clock import Clock
from assay.errors import InvalidArgumentError
from assay.rpc.method import Context
from assay_proto.revocation.v1 import revocation_pb2 as pb
from assay_server.api.actor import actor_of
from assay_server.api.words import word
from assay_server.governance.revocations import Outcome, RevocationService
from assay_server.model.governed.revocation import Revocation, Target

LONGEST_WAIT = 60_000
"""Milliseconds."""

_MAY_OPEN = {
    Target.PRINCIPAL: "while it is active the principal may open tasks anew: --suspend stops it",
    Target.OWNER: "its active principals may open tasks anew: --suspend stops them, `assay owner leave` for good",
    Target.INSTANCE: "the instance may open tasks anew: `assay principal suspend` stops all of its principal",
    Target.TOOL: "tasks may be opened with it anew: take it from principals, or push a policy that forbids it",
    Target.TENANT: "its principals may open tasks anew: suspend them, or push a policy that forbids it",
    Target.CREDENTIAL: "its task goes on and may get another: `assay revoke --task` ends it",
}


class RevocationsApi:
    """The Revocations service."""

    def __init__(self, revocations: RevocationService, clock: Clock) -> None:
        self._revocations = revocations
        self._clock = clock

    async def Preview(self, request: pb.PreviewRequest, context: Context) -> pb.PreviewResponse:
        """What would end."""
        found = await self._revocations.preview(word(Target, request.target.kind, "target"), request.target.value)
        return pb.PreviewResponse(tasks=found.tasks, credentials=found.credentials, principals=found.principals)

    async def Revoke(self, request: pb.RevokeRequest, context: Context) -> pb.RevokeResponse:
        """End it."""
        if request.wait > LONGEST_WAIT:
            raise InvalidArgumentError("verifiers are waited for a minute at most")
        asked = Revocation(
            revocation_id="",
            target=word(Target, request.target.kind, "target"),
            value=request.target.value,
            reason=request.reason,
            by=actor_of(context),
            at=int(self._clock.now().timestamp()),
            suspend=request.suspend,
        )
        return _said(await self._revocations.revoke(asked, request.wait / 1000))


def _said(outcome: Outcome) -> pb.RevokeResponse:
    one, confirmed = outcome.revocation, outcome.confirmed
    said = pb.RevokeResponse(
        revocation_id=one.revocation_id,
        tasks=one.tasks,
        credentials=one.credentials,
        principals=one.principals,
        hint="" if one.suspend else _MAY_OPEN.get(one.target, ""),
    )
    if confirmed is not None:
        said.verifiers, said.confirmed = confirmed.verifiers, confirmed.confirmed
        said.milliseconds = round(confirmed.seconds * 1000)
    return said
