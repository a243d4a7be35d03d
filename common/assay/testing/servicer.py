"""The RPCs of a Workload API server for tests: answers as the standard has them, codes and words as SPIRE's agent."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

from assay.bundle import Bundle
from assay.bundle.jwks import emit_jwt, emit_wit
from assay.errors import AssayError, InvalidArgumentError, PermissionDeniedError
from assay.spiffeid import SpiffeId
from assay.svid import JwtSvid, jwt, witkey
from assay.testing.served import Identity, Served
from assay.testing.trustdomain import InMemoryTrustDomain
from assay.wire.status import CODES
from assay.workloadapi.wire import Context
from assay_proto.workloadapi import workloadapi_pb2 as pb

_FOREIGN_CLAIMS = frozenset({"sub", "aud", "exp"})


class Servicer:
    """Implements assay.workloadapi.wire.Servicer; lives on one loop."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self.changed = asyncio.Event()
        """Set at the next change; then there is another."""

    def wake(self) -> None:
        """Have the streams look at what has changed."""
        self.changed.set()
        self.changed = asyncio.Event()

    async def FetchX509SVID(self, _request: pb.X509SVIDRequest, context: Context) -> None:
        """The X.509-SVIDs with all bundles, now and on every change."""
        await self._follow("FetchX509SVID", _x509_svids, context)

    async def FetchX509Bundles(self, _request: pb.X509BundlesRequest, context: Context) -> None:
        """The CA certificates of the trust domain and of those it federates with."""
        await self._follow("FetchX509Bundles", _x509_bundles, context)

    async def FetchJWTBundles(self, _request: pb.JWTBundlesRequest, context: Context) -> None:
        """Their JWT keys."""
        await self._follow("FetchJWTBundles", _jwt_bundles, context)

    async def FetchJWTSVID(self, request: pb.JWTSVIDRequest, context: Context) -> pb.JWTSVIDResponse:
        """A JWT-SVID for each identity, or for the one that is asked for."""
        response = pb.JWTSVIDResponse()
        async with self._answering("FetchJWTSVID", context):
            audience = [one for one in request.audience if one]
            if not audience:
                raise InvalidArgumentError("audience must be specified")
            wanted = SpiffeId.parse(request.spiffe_id) if request.spiffe_id else None
            found = [one for one in self._identities() if wanted in {None, one.spiffe_id}]
            if not found:
                raise _no_identity()
            response.svids.extend(self._jwt_svid(one, audience) for one in found)
        return response

    async def ValidateJWTSVID(self, request: pb.ValidateJWTSVIDRequest, context: Context) -> pb.ValidateJWTSVIDResponse:
        """Whether the token is good for the audience, by all bundles; of a foreign one some claims are told."""
        response = pb.ValidateJWTSVIDResponse()
        async with self._answering("ValidateJWTSVID", context):
            svid = self._validate(request)
            response.spiffe_id = str(svid.spiffe_id)
            response.claims.CopyFrom(_claims(svid, self._served.domain))
        return response

    async def FetchWITSVID(self, request: pb.WITSVIDRequest, context: Context) -> None:
        """The WIT-SVIDs with their keys, now and on every change; of all identities or the one that is asked for."""
        await self._follow("FetchWITSVID", lambda served: _wit_svids(served, request.spiffe_id), context)

    async def FetchWITBundles(self, _request: pb.WITBundlesRequest, context: Context) -> None:
        """The WIT keys of the trust domain and of those it federates with."""
        await self._follow("FetchWITBundles", _wit_bundles, context)

    async def _follow(self, rpc: str, reply: Callable[[Served], Message], context: Context) -> None:
        sent = b""
        async with self._answering(rpc, context):
            while True:
                changed = self.changed
                await self._fail_if_told(rpc, context)
                self._identities()
                # Map entries come in any order otherwise, and equal responses would look like changes.
                data = reply(self._served).SerializeToString(deterministic=True)
                if data != sent:
                    await context.write(data)
                    sent = data
                await changed.wait()

    @asynccontextmanager
    async def _answering(self, rpc: str, context: Context) -> AsyncGenerator[None]:
        self._served.calls.append(rpc)
        await self._fail_if_told(rpc, context)
        try:
            yield
        except AssayError as error:
            await context.abort(CODES[error.kind], error.message)

    async def _fail_if_told(self, rpc: str, context: Context) -> None:
        outage = self._served.state.outages.get(rpc)
        if outage is not None:
            await context.abort(outage.code, outage.message)

    def _identities(self) -> Sequence[Identity]:
        found = self._served.state.identities
        if not found:
            raise _no_identity()
        return found

    def _jwt_svid(self, identity: Identity, audience: Sequence[str]) -> pb.JWTSVID:
        token = self._served.domain.jwt_svid(identity.spiffe_id, audience)
        return pb.JWTSVID(spiffe_id=str(identity.spiffe_id), svid=token, hint=identity.hint)

    def _validate(self, request: pb.ValidateJWTSVIDRequest) -> JwtSvid:
        if not request.audience:
            raise InvalidArgumentError("audience must be specified")
        if not request.svid:
            raise InvalidArgumentError("svid must be specified")
        domain = self._served.domain
        try:
            return jwt.verify(request.svid, domain.bundles(), request.audience, domain.clock.now())
        except AssayError as error:
            raise InvalidArgumentError(error.message) from error


def _x509_svids(served: Served) -> pb.X509SVIDResponse:
    own, *foreign = served.domain.bundles().values()
    return pb.X509SVIDResponse(
        svids=[
            pb.X509SVID(
                spiffe_id=str(one.spiffe_id),
                x509_svid=b"".join(one.svid.chain),
                x509_svid_key=one.svid.key_pkcs8,
                bundle=_certificates(own),
                hint=one.hint,
            )
            for one in served.state.identities
        ],
        federated_bundles={str(one.trust_domain.id): _certificates(one) for one in foreign},
    )


def _x509_bundles(served: Served) -> pb.X509BundlesResponse:
    return pb.X509BundlesResponse(bundles={str(one.trust_domain.id): _certificates(one) for one in _bundles(served)})


def _jwt_bundles(served: Served) -> pb.JWTBundlesResponse:
    return pb.JWTBundlesResponse(bundles={str(one.trust_domain.id): emit_jwt(one) for one in _bundles(served)})


def _wit_svids(served: Served, wanted: str) -> pb.WITSVIDResponse:
    only = SpiffeId.parse(wanted) if wanted else None
    found = [one for one in served.state.identities if only in {None, one.spiffe_id}]
    if not found:
        raise _no_identity()
    return pb.WITSVIDResponse(svids=map(_wit_svid, found))


def _wit_svid(identity: Identity) -> pb.WITSVID:
    svid = identity.wit
    key = witkey.emit(svid.key, svid.algorithm) if svid.key is not None else ""
    return pb.WITSVID(spiffe_id=str(svid.spiffe_id), wit_svid=svid.token, wit_svid_key=key, hint=identity.hint)


def _wit_bundles(served: Served) -> pb.WITBundlesResponse:
    return pb.WITBundlesResponse(bundles={str(one.trust_domain.id): emit_wit(one).decode() for one in _bundles(served)})


def _bundles(served: Served) -> Iterable[Bundle]:
    return served.domain.bundles().values()


def _certificates(bundle: Bundle) -> bytes:
    return b"".join(authority.der for authority in bundle.x509_authorities)


def _claims(svid: JwtSvid, domain: InMemoryTrustDomain) -> Struct:
    own = svid.spiffe_id.member_of(domain.trust_domain)
    claims = {name: value for name, value in svid.claims.items() if own or name in _FOREIGN_CLAIMS}
    return ParseDict({**claims, "aud": list(svid.audience)}, Struct())


def _no_identity() -> PermissionDeniedError:
    return PermissionDeniedError("no identity issued")
