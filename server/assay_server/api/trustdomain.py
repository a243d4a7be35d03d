"""spire.api.server.trustdomain.v1.TrustDomain: federation relationships with foreign trust domains."""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from google.protobuf.empty_pb2 import Empty

from assay.errors import AssayError, Kind, prefixed
from assay.rpc.method import Context
from assay_proto.spire.api.server.trustdomain.v1 import trustdomain_pb2 as pb
from assay_proto.spire.api.types import federationrelationship_pb2
from assay_proto.spire.api.types.status_pb2 import Status
from assay_server.api import status
from assay_server.api.items import answer_each
from assay_server.api.page import bounded, page_from_proto
from assay_server.api.trustdomain_values import (
    Message,
    parse_name,
    parse_name_to_delete,
    parse_relationship,
    parse_update,
    to_proto,
)
from assay_server.datastore.base import Page
from assay_server.registration.federation import Federated, FederationService

_CreateResult = pb.BatchCreateFederationRelationshipResponse.Result
_UpdateResult = pb.BatchUpdateFederationRelationshipResponse.Result
_DeleteResult = pb.BatchDeleteFederationRelationshipResponse.Result

R = TypeVar("R", _CreateResult, _UpdateResult)

# SPIRE answers INTERNAL for these, with its database's words, where the API's own comments promise ALREADY_EXISTS.
_STORE_WORDS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.ALREADY_EXISTS: "datastore-sql: UNIQUE constraint failed: federated_trust_domains.trust_domain",
        Kind.NOT_FOUND: "unable to fetch federation relationship: record not found",
    }
)


class TrustDomainApi:
    """The TrustDomain service; handlers translate and leave the deciding to the service behind."""

    def __init__(self, federation: FederationService) -> None:
        self._federation = federation

    async def ListFederationRelationships(
        self, request: pb.ListFederationRelationshipsRequest, context: Context
    ) -> pb.ListFederationRelationshipsResponse:
        """Relationships, in pages if the caller asks for pages."""
        mask = _output_mask(request)

        async def listed(page: Page) -> tuple[pb.ListFederationRelationshipsResponse, Sequence[Message]]:
            found, token = await self._federation.find(page)
            messages = [to_proto(each, mask) for each in found]
            response = pb.ListFederationRelationshipsResponse(federation_relationships=messages, next_page_token=token)
            return response, messages

        with prefixed("failed to list federation relationships"):
            return await bounded(page_from_proto(request), listed)

    async def GetFederationRelationship(
        self, request: pb.GetFederationRelationshipRequest, context: Context
    ) -> federationrelationship_pb2.FederationRelationship:
        """One relationship."""
        return to_proto(await self._federation.get(parse_name(request.trust_domain)), _output_mask(request))

    async def BatchCreateFederationRelationship(
        self, request: pb.BatchCreateFederationRelationshipRequest, context: Context
    ) -> pb.BatchCreateFederationRelationshipResponse:
        """Add relationships that are not there yet, and the bundles that come with them."""
        outcomes = await answer_each(request.federation_relationships, parse_relationship, self._federation.create)
        results = _results(_CreateResult, outcomes, "create", _output_mask(request))
        return pb.BatchCreateFederationRelationshipResponse(results=results)

    async def BatchUpdateFederationRelationship(
        self, request: pb.BatchUpdateFederationRelationshipRequest, context: Context
    ) -> pb.BatchUpdateFederationRelationshipResponse:
        """Change the fields the input mask names, or all, of relationships that are there."""
        parse = partial(parse_update, mask=request.input_mask if request.HasField("input_mask") else None)
        outcomes = await answer_each(request.federation_relationships, parse, self._federation.update)
        results = _results(_UpdateResult, outcomes, "update", _output_mask(request))
        return pb.BatchUpdateFederationRelationshipResponse(results=results)

    async def BatchDeleteFederationRelationship(
        self, request: pb.BatchDeleteFederationRelationshipRequest, context: Context
    ) -> pb.BatchDeleteFederationRelationshipResponse:
        """Remove relationships; bundles stay."""
        outcomes = await answer_each(request.trust_domains, parse_name_to_delete, self._federation.delete)
        return pb.BatchDeleteFederationRelationshipResponse(
            results=[_deleted(name, error) for name, error in zip(request.trust_domains, outcomes, strict=True)]
        )

    async def RefreshBundle(self, request: pb.RefreshBundleRequest, context: Context) -> Empty:
        """Not built, but for saying that there is no such relationship."""
        await self._federation.refresh(parse_name(request.trust_domain))
        return Empty()


def _output_mask(
    request: pb.ListFederationRelationshipsRequest
    | pb.GetFederationRelationshipRequest
    | pb.BatchCreateFederationRelationshipRequest
    | pb.BatchUpdateFederationRelationshipRequest,
) -> federationrelationship_pb2.FederationRelationshipMask | None:
    return request.output_mask if request.HasField("output_mask") else None


def _results(
    make: type[R],
    outcomes: Sequence[Federated | AssayError],
    verb: str,
    mask: federationrelationship_pb2.FederationRelationshipMask | None,
) -> list[R]:
    return [
        make(status=_refused(outcome, verb))
        if isinstance(outcome, AssayError)
        else make(status=status.ok(), federation_relationship=to_proto(outcome, mask))
        for outcome in outcomes
    ]


def _refused(error: AssayError, verb: str) -> Status:
    words = _STORE_WORDS.get(error.kind)
    return status.failed(error, f"failed to {verb} federation relationship", words) if words else status.refused(error)


def _deleted(name: str, error: AssayError | None) -> _DeleteResult:
    if error is None or error.kind is Kind.NOT_FOUND:
        name = parse_name(name).name  # it may have been given as an ID
    return _DeleteResult(trust_domain=name, status=status.refused(error) if error else status.ok())
