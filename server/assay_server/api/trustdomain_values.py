"""Federation relationships as spire.api.types.FederationRelationship, whole or through a mask, in SPIRE's words."""

from assay.bundle import Bundle
from assay.errors import InvalidArgumentError, prefixed
from assay.spiffeid import SpiffeId, TrustDomain
from assay.wire import bundle as bundle_wire
from assay_proto.spire.api.types import federationrelationship_pb2 as pb
from assay_server.api.bundle_change import untainted
from assay_server.model import EndpointProfile, FederationRelationship, HttpsSpiffeProfile, HttpsWebProfile
from assay_server.model.endpointurl import parse_endpoint_url
from assay_server.registration.federation import Federated, FederationUpdate

Message = pb.FederationRelationship
Mask = pb.FederationRelationshipMask

# Of the mask and of the relationship.
_FIELDS = ("bundle_endpoint_url", "bundle_endpoint_profile")


def to_proto(federated: Federated, mask: Mask | None) -> Message:
    """The message with the fields the mask names (all without a mask); the trust domain is always there."""
    relationship = federated.relationship
    message = Message(trust_domain=relationship.trust_domain.name)
    if mask is None or mask.bundle_endpoint_url:
        message.bundle_endpoint_url = relationship.bundle_endpoint_url
    if mask is None or mask.bundle_endpoint_profile:
        _write_profile(message, relationship.bundle_endpoint_profile)
    if federated.bundle is not None and (mask is None or mask.trust_domain_bundle):
        message.trust_domain_bundle.CopyFrom(bundle_wire.to_proto(federated.bundle))
    return message


def parse_name(name: str) -> TrustDomain:
    """The trust domain a request names.

    Raises:
        InvalidArgumentError: it is none.
    """
    with prefixed("failed to parse trust domain"):
        return TrustDomain.parse(name)


def parse_name_to_delete(name: str) -> TrustDomain:
    """The trust domain a request names.

    Raises:
        InvalidArgumentError: it is none, or missing.
    """
    if not name:
        raise InvalidArgumentError("missing trust domain")
    return parse_name(name)


def parse_relationship(message: Message) -> Federated:
    """The relationship as it was sent.

    Raises:
        InvalidArgumentError: a field is missing or malformed, or the bundle is another trust domain's.
    """
    with prefixed("failed to convert federation relationship"):
        relationship = FederationRelationship(
            parse_name(message.trust_domain), parse_endpoint_url(message.bundle_endpoint_url), _profile(message)
        )
        return Federated(relationship, _bundle(message, relationship.trust_domain))


def parse_update(message: Message, mask: Mask | None) -> FederationUpdate:
    """The values of the fields the mask names, or of all without a mask. As in SPIRE, all of them have to be right.

    Raises:
        InvalidArgumentError: as for `parse_relationship`.
    """
    given = parse_relationship(message)
    if mask is None:
        return FederationUpdate(given)
    fields = frozenset(name for name in _FIELDS if getattr(mask, name))
    return FederationUpdate(given, fields, with_bundle=mask.trust_domain_bundle)


def _write_profile(message: Message, profile: EndpointProfile) -> None:
    if isinstance(profile, HttpsSpiffeProfile):
        message.https_spiffe.endpoint_spiffe_id = str(profile.endpoint_spiffe_id)
    else:
        message.https_web.SetInParent()


def _profile(message: Message) -> EndpointProfile:
    match message.WhichOneof("bundle_endpoint_profile"):
        case "https_web":
            return HttpsWebProfile()
        case "https_spiffe":
            with prefixed("failed to parse endpoint SPIFFE ID"):
                return HttpsSpiffeProfile(_endpoint_id(message.https_spiffe.endpoint_spiffe_id))
        case _:
            raise InvalidArgumentError("unsupported bundle endpoint profile type: <nil>")


def _endpoint_id(text: str) -> SpiffeId:
    if not text:
        raise InvalidArgumentError("cannot be empty")
    return SpiffeId.parse(text)


def _bundle(message: Message, trust_domain: TrustDomain) -> Bundle | None:
    if not message.HasField("trust_domain_bundle"):
        return None
    with prefixed("failed to parse bundle"):
        bundle = untainted(bundle_wire.from_proto(message.trust_domain_bundle))
    if bundle.trust_domain != trust_domain:
        raise InvalidArgumentError(
            f'trust domain bundle ("{message.trust_domain_bundle.trust_domain}") must match the trust domain of the '
            f'federation relationship ("{trust_domain}")'
        )
    return bundle
