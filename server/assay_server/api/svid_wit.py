"""WIT-SVIDs as the SVID service issues them: minted for operators, and by the entries of the calling agent."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import structlog

from assay.crypto.keys import PublicKey, from_pkix
from assay.errors import AssayError, prefixed
from assay.spiffeid import TrustDomain
from assay_proto.spire.api.server.svid.v1 import svid_pb2 as pb
from assay_proto.spire.api.types.witsvid_pb2 import WITSVID
from assay_server.api import status
from assay_server.api.svid_batch import check_taskless, entitled, shared
from assay_server.api.svid_mint import token_subject
from assay_server.authorization.view import AgentView
from assay_server.credential import IssuedWit, Issuer

log = structlog.get_logger(__name__)

_OK = status.ok()


def mint(issuer: Issuer, trust_domain: TrustDomain, request: pb.MintWITSVIDRequest) -> pb.MintWITSVIDResponse:
    """A WIT-SVID for whatever ID and key are asked for.

    Raises:
        InvalidArgumentError: the ID may not be given, or the key is none or not one for its algorithm.
    """
    spiffe_id = token_subject(request, trust_domain)
    key = _public_key(request.public_key, "invalid public key")
    svid = issuer.workload_wit(spiffe_id, key, request.signing_algorithm, ttl=request.ttl)
    response = pb.MintWITSVIDResponse()
    _put_wit(response.svid, svid)
    return response


def sign_each(
    issuer: Issuer,
    view: AgentView,
    params: Sequence[pb.NewWITSVIDParams],
    response: pb.BatchNewWITSVIDResponse,
    taskless: AbstractSet[str],
) -> None:
    """Add the results for a few items, in order, each refused alone; nothing else runs meanwhile.

    `taskless` are the principals whose tokens stand on no task.
    """
    for one in params:
        result = response.results.add()
        try:
            svid = _signed(issuer, view, one, taskless)
        except AssayError as error:
            result.status.CopyFrom(status.refused(error))
        else:
            result.status.CopyFrom(_OK)
            _put_wit(result.svid, svid)


def _signed(issuer: Issuer, view: AgentView, params: pb.NewWITSVIDParams, taskless: AbstractSet[str]) -> IssuedWit:
    entry = shared(entitled(view, params.entry_id, params.public_key, "public key"))
    check_taskless(entry, taskless)
    key = _public_key(params.public_key, "malformed public key")
    # An entry has no lifetime of its own for these; SPIRE takes the other one that is about a key of the workload.
    return issuer.workload_wit(entry.spiffe_id, key, params.signing_algorithm, ttl=entry.x509_svid_ttl)


def _public_key(pkix: bytes, refusal: str) -> PublicKey:
    with prefixed(refusal):
        return from_pkix(pkix)


def _put_wit(message: WITSVID, svid: IssuedWit) -> None:
    log.debug("Server CA successfully signed WIT-SVID", spiffe_id=svid.spiffe_id, expiration=svid.expires_at)
    message.token = svid.token
    message.id.trust_domain = svid.spiffe_id.trust_domain.name
    message.id.path = svid.spiffe_id.path
    message.expires_at = svid.expires_at
    message.issued_at = svid.issued_at
