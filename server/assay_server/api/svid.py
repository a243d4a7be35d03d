"""spire.api.server.svid.v1.SVID: agents fetch what their entries allow, operators mint what they ask for."""

import asyncio
from typing import Any

import grpc
import structlog

from assay.crypto import csr
from assay.entry import Entry
from assay.errors import AssayError, InvalidArgumentError, NotFoundError, UnimplementedError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.wire import spiffeid as spiffeid_wire
from assay_proto.spire.api.server.svid.v1 import svid_pb2 as pb
from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDServicer
from assay_proto.spire.api.types import jwtsvid_pb2
from assay_server.api import status
from assay_server.api.agent_values import svid_to_proto
from assay_server.api.svid_mint import jwt_audience, jwt_subject, mint_request
from assay_server.authorization.caller import caller_id, current_caller
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.ratelimit import RateLimits, take
from assay_server.credential import IssuedJwt, IssuedX509, Issuer

log = structlog.get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]

# Signing holds the loop; after so many certificates the other callers get their turn.
_TURN = 8


class SvidApi(SVIDServicer):
    """The SVID service. WIT-SVIDs and downstream CAs are not built."""

    def __init__(
        self, trust_domain: TrustDomain, issuer: Issuer, authorized: AuthorizedEntries, limits: RateLimits
    ) -> None:
        self._trust_domain = trust_domain
        self._issuer = issuer
        self._authorized = authorized
        self._limits = limits

    async def MintX509SVID(self, request: pb.MintX509SVIDRequest, context: Context) -> pb.MintX509SVIDResponse:
        """An X.509-SVID for whatever ID, subject and DNS names the CSR asks for."""
        mint = mint_request(request.csr, request.ttl, self._trust_domain)
        svid = self._issuer.workload_x509(
            mint.public_key, mint.spiffe_id, dns_names=mint.dns_names, ttl=request.ttl, subject=mint.subject
        )
        _log_x509(svid)
        return pb.MintX509SVIDResponse(svid=svid_to_proto(svid))

    async def MintJWTSVID(self, request: pb.MintJWTSVIDRequest, context: Context) -> pb.MintJWTSVIDResponse:
        """A JWT-SVID for whatever ID is asked for."""
        spiffe_id = jwt_subject(request.id, request.ttl, self._trust_domain)
        svid = self._issuer.workload_jwt(spiffe_id, jwt_audience(request.audience), ttl=request.ttl)
        return pb.MintJWTSVIDResponse(svid=_jwt_to_proto(svid))

    async def MintWITSVID(self, request: pb.MintWITSVIDRequest, context: Context) -> pb.MintWITSVIDResponse:
        """Not built."""
        raise UnimplementedError("WIT functionality is disabled")

    async def BatchNewX509SVID(
        self, request: pb.BatchNewX509SVIDRequest, context: Context
    ) -> pb.BatchNewX509SVIDResponse:
        """One X.509-SVID for each entry, which must be authorized for the calling agent now; items fail alone."""
        if not request.params:
            raise InvalidArgumentError("missing parameters")
        agent = caller_id()
        await take(self._limits.x509_signing, current_caller().host, len(request.params), doing="certificate signing")
        response = pb.BatchNewX509SVIDResponse()
        for index, params in enumerate(request.params):
            if index and index % _TURN == 0:
                await asyncio.sleep(0)
            response.results.append(await self._new_x509(agent, params))
        return response

    async def NewJWTSVID(self, request: pb.NewJWTSVIDRequest, context: Context) -> pb.NewJWTSVIDResponse:
        """A JWT-SVID for an entry that is authorized for the calling agent now."""
        agent = caller_id()
        await take(self._limits.jwt_signing, current_caller().host, doing="JWT signing request")
        entry = await self._entry(agent, request.entry_id)
        svid = self._issuer.workload_jwt(
            entry.spiffe_id,
            jwt_audience(request.audience),
            ttl=entry.jwt_svid_ttl,
            include_jti=entry.jwt_svid_include_jti,
        )
        return pb.NewJWTSVIDResponse(svid=_jwt_to_proto(svid))

    async def BatchNewWITSVID(self, request: pb.BatchNewWITSVIDRequest, context: Context) -> pb.BatchNewWITSVIDResponse:
        """Not built."""
        raise UnimplementedError("WIT functionality is disabled")

    async def NewDownstreamX509CA(
        self, request: pb.NewDownstreamX509CARequest, context: Context
    ) -> pb.NewDownstreamX509CAResponse:
        """Not built."""
        raise UnimplementedError("downstream X.509 CAs are not built yet")

    async def _entry(self, agent: SpiffeId, entry_id: str) -> Entry:
        entry = await self._authorized.authorized(agent, entry_id)
        if entry is None:
            raise NotFoundError("entry not found or not authorized")
        return entry

    async def _new_x509(self, agent: SpiffeId, params: pb.NewX509SVIDParams) -> pb.BatchNewX509SVIDResponse.Result:
        try:
            svid = await self._sign(agent, params)
        except AssayError as error:
            return pb.BatchNewX509SVIDResponse.Result(status=status.refused(error))
        return pb.BatchNewX509SVIDResponse.Result(status=status.ok(), svid=svid_to_proto(svid))

    async def _sign(self, agent: SpiffeId, params: pb.NewX509SVIDParams) -> IssuedX509:
        if not params.entry_id:
            raise InvalidArgumentError("missing entry ID")
        if not params.csr:
            raise InvalidArgumentError("missing CSR")
        entry = await self._entry(agent, params.entry_id)
        svid = self._issuer.workload_x509(
            csr.parse(params.csr).public_key, entry.spiffe_id, dns_names=entry.dns_names, ttl=entry.x509_svid_ttl
        )
        _log_x509(svid, registration_id=entry.id, revision_number=entry.revision)
        return svid


def _log_x509(svid: IssuedX509, **fields: str | int) -> None:
    log.debug("Signed X509 SVID", spiffe_id=svid.spiffe_id, expiration=svid.not_after, serial_num=svid.serial, **fields)


def _jwt_to_proto(svid: IssuedJwt) -> jwtsvid_pb2.JWTSVID:
    log.debug("Server CA successfully signed JWT SVID", spiffe_id=svid.spiffe_id, expiration=svid.expires_at)
    return jwtsvid_pb2.JWTSVID(
        token=svid.token,
        id=spiffeid_wire.to_proto(svid.spiffe_id),
        expires_at=svid.expires_at,
        issued_at=svid.issued_at,
    )
