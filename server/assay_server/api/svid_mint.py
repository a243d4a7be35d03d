"""What an operator may have minted: the checks of MintX509SVID, MintJWTSVID and MintWITSVID."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509

from assay.crypto import csr
from assay.crypto.csr import SigningRequest
from assay.dnsname import check_dns_name
from assay.errors import InvalidArgumentError, prefixed
from assay.namespace import require_workload
from assay.spiffeid import SpiffeId, TrustDomain
from assay.wire import spiffeid as spiffeid_wire
from assay_proto.spire.api.server.svid.v1.svid_pb2 import MintJWTSVIDRequest, MintWITSVIDRequest


@dataclass(frozen=True, slots=True)
class MintRequest:
    """What a CSR asks for. `pkix` is its public key; `subject` is None when the CSR leaves it to us."""

    pkix: bytes
    spiffe_id: SpiffeId
    dns_names: tuple[str, ...]
    subject: x509.Name | None


def mint_request(der: bytes, trust_domain: TrustDomain) -> MintRequest:
    """Check the CSR of MintX509SVID.

    Raises:
        InvalidArgumentError: missing, malformed, not signed by its key, or names that may not be given.
    """
    request = _parsed(der)
    subject = request.subject
    return MintRequest(
        request.pkix,
        _spiffe_id(request, trust_domain),
        _dns_names(request.dns_names),
        subject if subject.rdns else None,
    )


def token_subject(request: MintJWTSVIDRequest | MintWITSVIDRequest, trust_domain: TrustDomain) -> SpiffeId:
    """Check the ID of MintJWTSVID or MintWITSVID.

    Raises:
        InvalidArgumentError: missing, malformed, foreign or reserved.
    """
    with prefixed("invalid SPIFFE ID"):
        spiffe_id = spiffeid_wire.in_field(request, "id")
        require_workload(spiffe_id, trust_domain)
        return spiffe_id


def jwt_audience(audience: Iterable[str]) -> tuple[str, ...]:
    """The audiences that say something.

    Raises:
        InvalidArgumentError: none was given, or all are empty, which SPIRE finds out when it signs.
    """
    given = tuple(audience)
    if not given:
        raise InvalidArgumentError("at least one audience is required")
    named = tuple(one for one in given if one)
    if not named:
        raise InvalidArgumentError("failed to sign JWT-SVID: invalid JWT-SVID audience: cannot be empty")
    return named


def _parsed(der: bytes) -> SigningRequest:
    try:
        return csr.parse(der)
    except csr.SignatureError as error:
        # SPIRE's words are others here than when an agent sends the request.
        message = f"failed to verify CSR signature: {error.reason}"
        raise InvalidArgumentError(message, hint=error.hint) from None


def _spiffe_id(request: SigningRequest, trust_domain: TrustDomain) -> SpiffeId:
    uris = list(request.uris)
    if not uris:
        raise InvalidArgumentError("CSR URI SAN is required", hint="the URI names the SPIFFE ID to mint")
    if len(uris) > 1:
        raise InvalidArgumentError("only one URI SAN is expected")
    with prefixed("CSR URI SAN is invalid"):
        spiffe_id = SpiffeId.parse(uris[0])
        require_workload(spiffe_id, trust_domain)
        return spiffe_id


def _dns_names(names: Sequence[str]) -> tuple[str, ...]:
    with prefixed("CSR DNS name is invalid"):
        for name in names:
            check_dns_name(name)
    for name in names:
        if not name.startswith("*") and "*." + name.partition(".")[2] in names:
            raise InvalidArgumentError(
                "CSR DNS name contains a wildcard that covers another non-wildcard name: "
                f'name "{name}" overlaps with an existing wildcard name in the list: wildcard overlap'
            )
    return tuple(names)
