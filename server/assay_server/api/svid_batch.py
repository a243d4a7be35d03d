"""The items of BatchNewX509SVID: each for an entry of the calling agent, each refused alone."""

import logging
from collections.abc import Sequence

import structlog

from assay.batch import each
from assay.crypto import csr
from assay.crypto.csr import SigningRequest
from assay.entry import Entry
from assay.errors import AssayError, InvalidArgumentError, NotFoundError
from assay_proto.spire.api.server.svid.v1 import svid_pb2 as pb
from assay_proto.spire.api.types.x509svid_pb2 import X509SVID
from assay_server.api import status
from assay_server.authorization.view import AgentView
from assay_server.credential import IssuedX509, Issuer, LeafOrder

log = structlog.get_logger(__name__)

_OK = status.ok()


def sign_each(
    issuer: Issuer,
    view: AgentView,
    params: Sequence[pb.NewX509SVIDParams],
    response: pb.BatchNewX509SVIDResponse,
) -> None:
    """Add the results for a few items, in order; nothing else runs meanwhile."""
    entries = each(lambda one: entitled(view, one.entry_id, one.csr, "CSR"), params)
    requests = csr.parse_each(
        entry if isinstance(entry, AssayError) else one.csr for entry, one in zip(entries, params, strict=True)
    )
    svids = _issued(issuer, [_order(entry, request) for entry, request in zip(entries, requests, strict=True)])
    for svid in svids:
        _put_result(response.results.add(), svid)
    if log.is_enabled_for(logging.DEBUG):
        _tell(entries, svids)


def entitled(view: AgentView, entry_id: str, key: bytes, kind: str) -> Entry:
    """The entry an item of a batch is for. The item brings a `key` as well, of that kind.

    Raises:
        InvalidArgumentError: one of the two is missing.
        NotFoundError: there is no such entry, or it is not for this agent.
    """
    if not entry_id:
        raise InvalidArgumentError("missing entry ID")
    if not key:
        raise InvalidArgumentError(f"missing {kind}")
    entry = view.get(entry_id)
    if entry is None:
        raise NotFoundError("entry not found or not authorized")
    return entry


def _order(entry: Entry | AssayError, request: SigningRequest | AssayError) -> LeafOrder | AssayError:
    if isinstance(entry, AssayError):
        return entry
    if isinstance(request, AssayError):
        return request
    return LeafOrder(request.pkix, entry.spiffe_id, entry.dns_names, entry.x509_svid_ttl)


def _issued(issuer: Issuer, orders: Sequence[LeafOrder | AssayError]) -> list[IssuedX509 | AssayError]:
    try:
        return issuer.workload_x509_each(orders)
    except AssayError as error:
        return [order if isinstance(order, AssayError) else error for order in orders]


# Filled in where they stand: put together from ready messages, each part is copied.


def _put_result(result: pb.BatchNewX509SVIDResponse.Result, svid: IssuedX509 | AssayError) -> None:
    if isinstance(svid, AssayError):
        result.status.CopyFrom(status.refused(svid))
        return
    result.status.CopyFrom(_OK)
    put_x509(result.svid, svid)


def put_x509(message: X509SVID, svid: IssuedX509) -> None:
    """Fill in the message: the certificates, leaf first, with their end."""
    message.cert_chain.extend(svid.chain)
    message.expires_at = svid.not_after
    message.id.trust_domain = svid.spiffe_id.trust_domain.name
    message.id.path = svid.spiffe_id.path


def _tell(entries: Sequence[Entry | AssayError], svids: Sequence[IssuedX509 | AssayError]) -> None:
    for entry, svid in zip(entries, svids, strict=True):
        if not isinstance(entry, AssayError) and not isinstance(svid, AssayError):
            log_x509(svid, registration_id=entry.id, revision_number=entry.revision)


def log_x509(svid: IssuedX509, **fields: str | int) -> None:
    """Say at level debug that an X.509-SVID was signed."""
    log.debug("Signed X509 SVID", spiffe_id=svid.spiffe_id, expiration=svid.not_after, serial_num=svid.serial, **fields)
