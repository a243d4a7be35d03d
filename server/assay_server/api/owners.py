"""assay.governance.v1.Owners: who answers for governed identities."""

from assay.rpc.method import Context
from assay_proto.governance.v1 import registration_pb2 as pb
from assay_server.api.actor import actor_of
from assay_server.api.page import page_from_proto
from assay_server.api.principal_values import stopped_to_proto
from assay_server.api.words import optional_word
from assay_server.governance.owners import OwnerReport, OwnerService
from assay_server.model.governed.owner import Owner, OwnerState


class OwnersApi:
    """The Owners service; handlers translate and leave the deciding to the service behind."""

    def __init__(self, owners: OwnerService) -> None:
        self._owners = owners

    async def Add(self, request: pb.OwnerName, context: Context) -> pb.Owner:
        """Make one known."""
        return _owner(await self._owners.add(request.name, actor_of(context)))

    async def Leave(self, request: pb.OwnerName, context: Context) -> pb.LeaveResponse:
        """It answers for nothing any more."""
        left = await self._owners.leave(request.name, actor_of(context))
        return pb.LeaveResponse(owner=_owner(left.owner), stopped=stopped_to_proto(left.stopped), pending=left.pending)

    async def Return(self, request: pb.OwnerName, context: Context) -> pb.OwnerReport:
        """It answers again."""
        return _report(await self._owners.come_back(request.name, actor_of(context)))

    async def Get(self, request: pb.OwnerName, context: Context) -> pb.OwnerReport:
        """One owner."""
        return _report(await self._owners.get(request.name))

    async def List(self, request: pb.ListOwnersRequest, context: Context) -> pb.ListOwnersResponse:
        """Owners, in pages if the caller asks for pages."""
        state = optional_word(OwnerState, request.state, "state")
        found, token = await self._owners.find(state, page_from_proto(request))
        return pb.ListOwnersResponse(owners=[_owner(one) for one in found], next_page_token=token)


def _owner(owner: Owner) -> pb.Owner:
    return pb.Owner(name=owner.name, state=owner.state.value, created_at=owner.created_at, left_at=owner.left_at)


def _report(report: OwnerReport) -> pb.OwnerReport:
    numbers = {state.value: number for state, number in report.principals.items()}
    return pb.OwnerReport(owner=_owner(report.owner), principals=numbers)
