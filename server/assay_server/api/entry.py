"""spire.api.server.entry.v1.Entry: what operators register, and what agents are authorized for."""

from collections.abc import AsyncIterator, Sequence
from functools import partial

from assay.entry import Entry
from assay.errors import AssayError, InvalidArgumentError, Kind, PermissionDeniedError, prefixed
from assay.rpc.method import Context
from assay.spiffeid import TrustDomain
from assay.wire import entry as entry_wire
from assay_proto.spire.api.server.entry.v1 import entry_pb2 as pb
from assay_proto.spire.api.types import entry_pb2
from assay_server.api import status
from assay_server.api.actor import actor_of
from assay_server.api.entry_change import change_refused, entry_to_create, entry_update
from assay_server.api.entry_filter import entry_filter
from assay_server.api.entry_kept import KeptAnswers
from assay_server.api.entry_sync import EntrySync
from assay_server.api.entry_values import write_in_turns
from assay_server.api.items import answer_each
from assay_server.api.page import bounded, page_from_proto
from assay_server.authorization.caller import current_caller
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.view import AgentView
from assay_server.datastore.base import Page
from assay_server.registration.entries import EntryService, Registered

_CreateResult = pb.BatchCreateEntryResponse.Result
_UpdateResult = pb.BatchUpdateEntryResponse.Result
_DeleteResult = pb.BatchDeleteEntryResponse.Result


class EntryApi:
    """The Entry service; handlers translate and leave the deciding to the services."""

    def __init__(self, entries: EntryService, authorized: AuthorizedEntries, trust_domain: TrustDomain) -> None:
        self._entries = entries
        self._authorized = authorized
        self._trust_domain = trust_domain
        self._sync = EntrySync()
        self._kept: KeptAnswers[pb.GetAuthorizedEntriesResponse] = KeptAnswers()

    async def CountEntries(self, request: pb.CountEntriesRequest, context: Context) -> pb.CountEntriesResponse:
        """How many entries there are."""
        where = entry_filter(request.filter, self._trust_domain)
        with prefixed("failed to count entries"):
            return pb.CountEntriesResponse(count=await self._entries.count(where))

    async def ListEntries(self, request: pb.ListEntriesRequest, context: Context) -> pb.ListEntriesResponse:
        """Entries, in pages if the caller asks for pages."""
        where, mask = entry_filter(request.filter, self._trust_domain), _output_mask(request)

        async def listed(page: Page) -> tuple[pb.ListEntriesResponse, Sequence[entry_pb2.Entry]]:
            entries, token = await self._entries.find(where, page)
            response = pb.ListEntriesResponse(next_page_token=token)
            await write_in_turns(response.entries, entries, context, mask)
            return response, response.entries

        with prefixed("failed to list entries"):
            return await bounded(page_from_proto(request), listed)

    async def GetEntry(self, request: pb.GetEntryRequest, context: Context) -> entry_pb2.Entry:
        """One entry."""
        if not request.id:
            raise InvalidArgumentError("missing ID")
        return entry_wire.to_proto(await self._entries.get(request.id), _output_mask(request))

    async def BatchCreateEntry(
        self, request: pb.BatchCreateEntryRequest, context: Context
    ) -> pb.BatchCreateEntryResponse:
        """Register each entry; one that is there already is answered with its status and as it is."""
        left_out = entry_wire.left_out(_output_mask(request))
        outcomes = await answer_each(request.entries, entry_to_create, self._entries.create)
        response = pb.BatchCreateEntryResponse()
        for outcome in outcomes:
            _write_created(response.results.add(), outcome, left_out)
        return response

    async def BatchUpdateEntry(
        self, request: pb.BatchUpdateEntryRequest, context: Context
    ) -> pb.BatchUpdateEntryResponse:
        """Change the fields the input mask names, or all."""
        input_mask = request.input_mask if request.HasField("input_mask") else None
        mask = _output_mask(request)
        parse = partial(entry_update, mask=input_mask, trust_domain=self._trust_domain)
        outcomes = await answer_each(request.entries, parse, self._entries.update)
        return pb.BatchUpdateEntryResponse(results=[_updated(outcome, mask) for outcome in outcomes])

    async def BatchDeleteEntry(
        self, request: pb.BatchDeleteEntryRequest, context: Context
    ) -> pb.BatchDeleteEntryResponse:
        """Delete each entry."""
        return pb.BatchDeleteEntryResponse(results=await self._deleted(request.ids, actor_of(context)))

    async def GetAuthorizedEntries(
        self, request: pb.GetAuthorizedEntriesRequest, context: Context
    ) -> pb.GetAuthorizedEntriesResponse:
        """All that the calling agent is authorized for, in one message."""
        await context.turn()
        view, mask = await self._view(), _output_mask(request)
        [response] = await self._kept.get(view, mask, lambda: _whole(view, mask, context))
        return response

    async def SyncAuthorizedEntries(
        self, request_iterator: AsyncIterator[pb.SyncAuthorizedEntriesRequest], context: Context
    ) -> AsyncIterator[pb.SyncAuthorizedEntriesResponse]:
        """What the calling agent lacks of what it is authorized for, found out in a conversation."""
        await context.turn()
        async for response in self._sync.answer(request_iterator, self._view, context):
            yield response

    async def _view(self) -> AgentView:
        agent_id = current_caller().spiffe_id
        if agent_id is None:
            raise PermissionDeniedError("caller ID missing from request context")
        return await self._authorized.view(agent_id)

    async def _deleted(self, entry_ids: Sequence[str], actor: str) -> list[_DeleteResult]:
        outcomes = await self._entries.delete(entry_ids, actor)
        return [
            _DeleteResult(id=entry_id, status=status.refused(error) if error else status.ok())
            for entry_id, error in zip(entry_ids, outcomes, strict=True)
        ]


async def _whole(
    view: AgentView, mask: entry_pb2.EntryMask | None, context: Context
) -> list[pb.GetAuthorizedEntriesResponse]:
    response = pb.GetAuthorizedEntriesResponse()
    await write_in_turns(response.entries, view.plain.values(), context, mask)
    return [response]


def _output_mask(
    request: pb.ListEntriesRequest
    | pb.GetEntryRequest
    | pb.BatchCreateEntryRequest
    | pb.BatchUpdateEntryRequest
    | pb.GetAuthorizedEntriesRequest,
) -> entry_pb2.EntryMask | None:
    return request.output_mask if request.HasField("output_mask") else None


def _write_created(result: _CreateResult, outcome: Registered | AssayError, left_out: Sequence[str]) -> None:
    if isinstance(outcome, AssayError):
        result.status.CopyFrom(change_refused(outcome, "create"))
        return
    state = status.of(Kind.ALREADY_EXISTS, "similar entry already exists") if outcome.existing else status.ok()
    result.status.CopyFrom(state)
    entry_wire.fill(result.entry, outcome.entry, left_out)


def _updated(outcome: Entry | AssayError, mask: entry_pb2.EntryMask | None) -> _UpdateResult:
    if isinstance(outcome, AssayError):
        return _UpdateResult(status=change_refused(outcome, "update"))
    return _UpdateResult(status=status.ok(), entry=entry_wire.to_proto(outcome, mask))
