"""The items of BatchNewX509SVID: each for an entry of the calling agent, each refused alone."""

import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

import structlog

from assay.batch import each
from assay.crypto import csr
from assay.crypto.csr import SigningRequest
from assay.entry import Entry
from assay.errors import AssayError, InvalidArgumentError, NotFoundError, PermissionDeniedError
from assay_proto.spire.api.server.svid.v1 import svid_pb2 as pb
from assay_proto.spire.api.types.status_pb2 import Status
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
    entries = each(lambda one: shared(entitled(view, one.entry_id, one.csr, "CSR")), params)
    requests = csr.parse_each(
        entry if isinstance(entry, AssayError) else one.csr for entry, one in zip(entries, params, strict=True)
    )
    svids = issued_each(issuer, [_order(entry, request) for entry, request in zip(entries, requests, strict=True)])
    for svid in svids:
        put_result(response.results.add(), svid)
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


def shared(entry: Entry) -> Entry:
    """The entry, if all copies of its workload have the same SVIDs.

    Raises:
        PermissionDeniedError: each has its own, which the Instances service gives it.
    """
    if entry.instance_from:
        raise PermissionDeniedError("entry names instances: each copy has SVIDs of its own")
    return entry


def check_taskless(entry: Entry, taskless: AbstractSet[str]) -> None:
    """Refuse a token for the entry of a principal that is not among these.

    Raises:
        PermissionDeniedError: that principal's tokens exist only within a task.
    """
    if entry.principal and entry.principal not in taskless:
        raise PermissionDeniedError(
            f"tokens of principal {entry.principal} exist only within a task, and while it is in no quarantine"
        )


def _order(entry: Entry | AssayError, request: SigningRequest | AssayError) -> LeafOrder | AssayError:
    if isinstance(entry, AssayError):
        return entry
    if isinstance(request, AssayError):
        return request
    return LeafOrder(request.pkix, entry.spiffe_id, entry.dns_names, entry.x509_svid_ttl)


def issued_each(issuer: Issuer, orders: Sequence[LeafOrder | AssayError]) -> list[IssuedX509 | AssayError]:
    """An X.509-SVID for each order, or why there is none; without an authority each says so."""
    try:
        return issuer.workload_x509_each(orders)
    except AssayError as error:
        return [order if isinstance(order, AssayError) else error for order in orders]


# Filled in where they stand: put together from ready messages, each part is copied.


class Result(Protocol):
    """An item's answer, of the message of one RPC or another."""

    @property
    def status(self) -> Status:
        """Whether there is an SVID, or why not."""
        ...

    @property
    def svid(self) -> X509SVID:
        """The SVID."""
        ...


def put_result(result: Result, svid: IssuedX509 | AssayError) -> None:
    """Fill in the item's answer."""
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
