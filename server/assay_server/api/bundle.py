"""spire.api.server.bundle.v1.Bundle: our own bundle, and those of the trust domains we federate with."""

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from assay.bundle import Bundle
from assay.errors import AssayError, InvalidArgumentError, Kind, UnimplementedError, prefixed
from assay.rpc.method import Context
from assay.wire import bundle as bundle_wire
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2 as pb
from assay_proto.spire.api.types import bundle_pb2
from assay_proto.spire.api.types.status_pb2 import Status
from assay_server.api import status
from assay_server.api.bundle_change import (
    parse_bundle,
    parse_bundle_update,
    parse_jwt,
    parse_trust_domain,
    parse_wit,
    parse_x509,
)
from assay_server.api.items import answer_each
from assay_server.api.page import bounded, page_from_proto
from assay_server.authorization.ratelimit import RateLimits, take
from assay_server.datastore.base import Page
from assay_server.registration.bundles import BundleService, DeleteMode

_CreateResult = pb.BatchCreateFederatedBundleResponse.Result
_UpdateResult = pb.BatchUpdateFederatedBundleResponse.Result
_SetResult = pb.BatchSetFederatedBundleResponse.Result
_DeleteResult = pb.BatchDeleteFederatedBundleResponse.Result

R = TypeVar("R", _CreateResult, _UpdateResult, _SetResult)


class BundleApi:
    """The Bundle service; handlers translate and leave the deciding to the service behind."""

    def __init__(self, bundles: BundleService, limits: RateLimits) -> None:
        self._bundles = bundles
        self._limits = limits

    async def CountBundles(self, request: pb.CountBundlesRequest, context: Context) -> pb.CountBundlesResponse:
        """How many bundles there are, our own included."""
        return pb.CountBundlesResponse(count=await self._bundles.count())

    async def GetBundle(self, request: pb.GetBundleRequest, context: Context) -> bundle_pb2.Bundle:
        """Our own bundle."""
        return bundle_wire.to_proto(await self._bundles.own(), _output_mask(request))

    async def AppendBundle(self, request: pb.AppendBundleRequest, context: Context) -> bundle_pb2.Bundle:
        """Add authorities to our own bundle."""
        if not (request.x509_authorities or request.jwt_authorities or request.wit_authorities):
            raise InvalidArgumentError("no authorities to append")
        jwt, x509 = parse_jwt(request.jwt_authorities), parse_x509(request.x509_authorities)
        wit = parse_wit(request.wit_authorities)
        return bundle_wire.to_proto(await self._bundles.append(x509, jwt, wit), _output_mask(request))

    async def PublishJWTAuthority(
        self, request: pb.PublishJWTAuthorityRequest, context: Context
    ) -> pb.PublishJWTAuthorityResponse:
        """Not built."""
        refusal = "key publishing rate limiting"
        await take(self._limits.publishing, refusal=refusal, patience=context.time_remaining())
        raise UnimplementedError("publishing JWT authorities upstream is not built yet")

    async def PublishWITAuthority(
        self, request: pb.PublishWITAuthorityRequest, context: Context
    ) -> pb.PublishWITAuthorityResponse:
        """Not built."""
        raise UnimplementedError("WIT-SVID functionality is not yet implemented")

    async def ListFederatedBundles(
        self, request: pb.ListFederatedBundlesRequest, context: Context
    ) -> pb.ListFederatedBundlesResponse:
        """Foreign bundles, in pages if the caller asks for pages."""
        mask = _output_mask(request)

        async def listed(page: Page) -> tuple[pb.ListFederatedBundlesResponse, Sequence[bundle_pb2.Bundle]]:
            found, token = await self._bundles.list_federated(page)
            bundles = [bundle_wire.to_proto(bundle, mask) for bundle in found]
            return pb.ListFederatedBundlesResponse(bundles=bundles, next_page_token=token), bundles

        with prefixed("failed to list bundles"):
            return await bounded(page_from_proto(request), listed)

    async def GetFederatedBundle(self, request: pb.GetFederatedBundleRequest, context: Context) -> bundle_pb2.Bundle:
        """One foreign bundle."""
        bundle = await self._bundles.federated(parse_trust_domain(request.trust_domain))
        return bundle_wire.to_proto(bundle, _output_mask(request))

    async def BatchCreateFederatedBundle(
        self, request: pb.BatchCreateFederatedBundleRequest, context: Context
    ) -> pb.BatchCreateFederatedBundleResponse:
        """Add foreign bundles that are not there yet."""
        outcomes = await answer_each(request.bundle, parse_bundle, self._bundles.create)
        results = _results(_CreateResult, outcomes, _output_mask(request))
        return pb.BatchCreateFederatedBundleResponse(results=results)

    async def BatchUpdateFederatedBundle(
        self, request: pb.BatchUpdateFederatedBundleRequest, context: Context
    ) -> pb.BatchUpdateFederatedBundleResponse:
        """Change the fields the input mask names, or all, of foreign bundles that are there."""
        parse = partial(parse_bundle_update, mask=request.input_mask if request.HasField("input_mask") else None)
        outcomes = await answer_each(request.bundle, parse, self._bundles.update)
        results = _results(_UpdateResult, outcomes, _output_mask(request))
        return pb.BatchUpdateFederatedBundleResponse(results=results)

    async def BatchSetFederatedBundle(
        self, request: pb.BatchSetFederatedBundleRequest, context: Context
    ) -> pb.BatchSetFederatedBundleResponse:
        """Add or replace foreign bundles."""
        outcomes = await answer_each(request.bundle, parse_bundle, self._bundles.set)
        results = _results(_SetResult, outcomes, _output_mask(request))
        return pb.BatchSetFederatedBundleResponse(results=results)

    async def BatchDeleteFederatedBundle(
        self, request: pb.BatchDeleteFederatedBundleRequest, context: Context
    ) -> pb.BatchDeleteFederatedBundleResponse:
        """Remove foreign bundles, with entries that federate with them treated as the mode says."""
        mode = _delete_mode(request.mode)
        names = request.trust_domains
        outcomes = await answer_each(names, parse_trust_domain, lambda each: self._bundles.delete(each, mode))
        return pb.BatchDeleteFederatedBundleResponse(
            results=[
                _DeleteResult(trust_domain=name, status=_delete_status(error))
                for name, error in zip(names, outcomes, strict=True)
            ]
        )


def _output_mask(
    request: pb.GetBundleRequest
    | pb.AppendBundleRequest
    | pb.ListFederatedBundlesRequest
    | pb.GetFederatedBundleRequest
    | pb.BatchCreateFederatedBundleRequest
    | pb.BatchUpdateFederatedBundleRequest
    | pb.BatchSetFederatedBundleRequest,
) -> bundle_pb2.BundleMask | None:
    return request.output_mask if request.HasField("output_mask") else None


def _results(make: type[R], outcomes: Sequence[Bundle | AssayError], mask: bundle_pb2.BundleMask | None) -> list[R]:
    return [
        make(status=status.refused(outcome))
        if isinstance(outcome, AssayError)
        else make(status=status.ok(), bundle=bundle_wire.to_proto(outcome, mask))
        for outcome in outcomes
    ]


def _delete_mode(number: int) -> DeleteMode:
    try:
        return DeleteMode(number)
    except ValueError:
        raise InvalidArgumentError(f'failed to parse deletion mode: unhandled delete mode "{number}"') from None


def _delete_status(error: AssayError | None) -> Status:
    if error is None:
        return status.ok()
    # SPIRE gives context only to what its store refused.
    return status.refused(error, "failed to delete federated bundle" if error.kind is Kind.FAILED_PRECONDITION else "")
