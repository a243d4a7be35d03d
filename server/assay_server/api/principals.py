"""assay.governance.v1.Principals: governed identities and how they are recognised."""

from assay.errors import prefixed
from assay.rpc.method import Context
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay_proto.governance.v1 import registration_pb2 as pb
from assay_server.api.actor import actor_of
from assay_server.api.page import page_from_proto
from assay_server.api.principal_values import (
    binding_to_proto,
    fields_from_proto,
    missing_to_proto,
    principal_from_proto,
    principal_to_proto,
    report_to_proto,
    stopped_to_proto,
)
from assay_server.api.words import optional_word
from assay_server.governance.bindings import BindingService, NewBinding
from assay_server.governance.inventory import Inventory, Wanted
from assay_server.governance.principal_state import Move
from assay_server.governance.principals import PrincipalService, Standing
from assay_server.model.governed.principal import ActorType, PrincipalState


class PrincipalsApi:
    """The Principals service; handlers translate and leave the deciding to the services behind."""

    def __init__(self, principals: PrincipalService, bindings: BindingService, inventory: Inventory) -> None:
        self._principals = principals
        self._bindings = bindings
        self._inventory = inventory

    async def Register(self, request: pb.Principal, context: Context) -> pb.Standing:
        """Put one on the stage."""
        return _standing(await self._principals.register(principal_from_proto(request), actor_of(context)))

    async def Update(self, request: pb.UpdateRequest, context: Context) -> pb.Standing:
        """Change some of its fields."""
        given = fields_from_proto(request.principal)
        return _standing(await self._principals.update(given, request.fields, actor_of(context)))

    async def Activate(self, request: pb.ChangeRequest, context: Context) -> pb.ChangeResponse:
        """Put it to work."""
        return await self._move(request, Move.ACTIVATE, context)

    async def Suspend(self, request: pb.ChangeRequest, context: Context) -> pb.ChangeResponse:
        """Stop it until it is resumed."""
        return await self._move(request, Move.SUSPEND, context)

    async def Resume(self, request: pb.ChangeRequest, context: Context) -> pb.ChangeResponse:
        """Put it to work again."""
        return await self._move(request, Move.RESUME, context)

    async def SetRisk(self, request: pb.RiskRequest, context: Context) -> pb.Principal:
        """Say how doubtful it is."""
        score, actor = request.score, actor_of(context)
        return principal_to_proto(await self._principals.set_risk(request.name, score, request.reason, actor))

    async def Quarantine(self, request: pb.ChangeRequest, context: Context) -> pb.Principal:
        """Have every decision about it refused."""
        return principal_to_proto(await self._principals.quarantine(request.name, request.reason, actor_of(context)))

    async def Release(self, request: pb.ChangeRequest, context: Context) -> pb.Principal:
        """Take it out of quarantine."""
        actor = actor_of(context)
        return principal_to_proto(await self._principals.quarantine(request.name, request.reason, actor, released=True))

    async def Retire(self, request: pb.ChangeRequest, context: Context) -> pb.ChangeResponse:
        """Stop it for ever."""
        return await self._move(request, Move.RETIRE, context)

    async def Get(self, request: pb.PrincipalName, context: Context) -> pb.PrincipalReport:
        """One, with all that hangs on it."""
        return report_to_proto(await self._inventory.get(request.name), whole=True)

    async def List(self, request: pb.ListPrincipalsRequest, context: Context) -> pb.ListPrincipalsResponse:
        """Those that are asked for, in pages if the caller asks for pages."""
        actor_type = optional_word(ActorType, request.actor_type, "actor type")
        wanted = Wanted(
            owner=request.owner,
            tenant=request.tenant,
            state=optional_word(PrincipalState, request.state, "state"),
            actor_type=actor_type.value if actor_type else "",
            unused=request.unused,
            orphaned=request.orphaned,
        )
        found, token = await self._inventory.find(wanted, page_from_proto(request))
        return pb.ListPrincipalsResponse(
            principals=[report_to_proto(one, whole=False) for one in found], next_page_token=token
        )

    async def Bind(self, request: pb.BindRequest, context: Context) -> pb.Binding:
        """Say by what it is recognised."""
        with prefixed("invalid parent ID"):
            parent_id = SpiffeId.parse(request.parent_id)
        binding = NewBinding(
            principal=request.principal,
            parent_id=parent_id,
            selectors=tuple(Selector.parse(text) for text in request.selectors),
            instance_from=request.instance_from,
            x509_svid_ttl=request.x509_svid_ttl,
            hint=request.hint,
        )
        return binding_to_proto(await self._bindings.bind(binding, actor_of(context)))

    async def Unbind(self, request: pb.UnbindRequest, context: Context) -> pb.Binding:
        """Delete a binding; it as it was."""
        return binding_to_proto(await self._bindings.unbind(request.principal, request.entry_id, actor_of(context)))

    async def ListBindings(self, request: pb.ListBindingsRequest, context: Context) -> pb.ListBindingsResponse:
        """Those of these entries that are bindings."""
        found = await self._bindings.among(request.entry_ids)
        return pb.ListBindingsResponse(bindings=[binding_to_proto(one) for one in found])

    async def _move(self, request: pb.ChangeRequest, move: Move, context: Context) -> pb.ChangeResponse:
        moved = await self._principals.move(request.name, move, request.reason, actor_of(context))
        return pb.ChangeResponse(principal=principal_to_proto(moved.principal), stopped=stopped_to_proto(moved.stopped))


def _standing(standing: Standing) -> pb.Standing:
    return pb.Standing(principal=principal_to_proto(standing.principal), missing=missing_to_proto(standing.missing))
