"""The agent's side of the Instances service."""

from collections.abc import Sequence

from assay.errors import AssayError, UnavailableError
from assay.rpc.client import Channel
from assay.wire import spiffeid as spiffeid_wire
from assay.wire.service import Stub
from assay_agent.client.refusal import from_status, refusals
from assay_agent.client.values import InstanceRequest, IssuedWit, PrincipalJwt
from assay_proto.instance.v1 import instance_pb2 as pb

_SERVICE = pb.DESCRIPTOR.services_by_name["Instances"]


async def new_x509_svids(
    channel: Channel,
    requests: Sequence[InstanceRequest],
    timeout: float,  # noqa: ASYNC109 - it is sent to the server
) -> list[tuple[bytes, ...] | AssayError]:
    """A chain (DER, leaf first) for each, or why there is none.

    Raises:
        AssayError: the server refused all of them.
    """
    params = [pb.NewX509SVIDParams(entry_id=one.entry_id, instance=one.value, csr=one.csr) for one in requests]
    with refusals():
        response = await Stub(channel, _SERVICE).BatchNewX509SVID(
            pb.BatchNewX509SVIDRequest(params=params), timeout=timeout
        )
    if len(response.results) != len(requests):
        raise UnavailableError("X509-SVID response is malformed")
    return [_chain(one) for one in response.results]


async def new_jwt_svid(
    channel: Channel,
    entry_id: str,
    value: str,
    audience: Sequence[str],
    timeout: float,  # noqa: ASYNC109 - likewise
) -> PrincipalJwt:
    """A JWT-SVID of that instance; of an AI agent's within the one task that covers the audience."""
    request = pb.NewJWTSVIDRequest(entry_id=entry_id, instance=value, audience=audience)
    with refusals():
        response = await Stub(channel, _SERVICE).NewJWTSVID(request, timeout=timeout)
    svid = response.svid
    if not svid.token or not 0 < svid.issued_at <= svid.expires_at:
        raise UnavailableError("JWT-SVID response is malformed")
    spiffe_id = spiffeid_wire.from_proto(svid.id)
    return PrincipalJwt(svid.token, spiffe_id, svid.issued_at, svid.expires_at, response.task_id)


async def new_wit_svid(
    channel: Channel,
    entry_id: str,
    value: str,
    public_key: bytes,
    algorithm: str,
    timeout: float,  # noqa: ASYNC109 - likewise
) -> IssuedWit:
    """A WIT-SVID of that instance for that key (PKIX DER); of an AI agent's within its one active task."""
    request = pb.NewWITSVIDRequest(entry_id=entry_id, instance=value, public_key=public_key, algorithm=algorithm)
    with refusals():
        response = await Stub(channel, _SERVICE).NewWITSVID(request, timeout=timeout)
    svid = response.svid
    if not svid.token or not 0 < svid.issued_at <= svid.expires_at:
        raise UnavailableError("WIT-SVID response is malformed")
    return IssuedWit(svid.token, svid.issued_at, svid.expires_at)


def _chain(result: pb.BatchNewX509SVIDResponse.Result) -> tuple[bytes, ...] | AssayError:
    if result.status.code:
        return from_status(result.status.code, result.status.message)
    return tuple(result.svid.cert_chain)
