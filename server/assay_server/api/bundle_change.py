"""Bundles as clients send them: read through the input mask, refused in SPIRE's words.

Whether an authority is tainted is not for clients to say, so that flag is dropped.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from assay.bundle import Bundle, JwtAuthority, WitAuthority, X509Authority
from assay.errors import prefixed
from assay.spiffeid import TrustDomain
from assay.wire import bundle as bundle_wire
from assay_proto.spire.api.types import bundle_pb2
from assay_server.registration.bundles import BundleUpdate

# Field of the mask -> field of the bundle.
_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "x509_authorities": "x509_authorities",
        "jwt_authorities": "jwt_authorities",
        "wit_authorities": "wit_authorities",
        "refresh_hint": "refresh_hint",
        "sequence_number": "sequence",
    }
)


def parse_trust_domain(name: str) -> TrustDomain:
    """The trust domain a request names.

    Raises:
        InvalidArgumentError: it is none.
    """
    with prefixed("trust domain argument is not valid"):
        return TrustDomain.parse(name)


def parse_bundle(message: bundle_pb2.Bundle) -> Bundle:
    """The bundle as it was sent.

    Raises:
        InvalidArgumentError: its trust domain or an authority does not parse.
    """
    parse_trust_domain(message.trust_domain)
    with prefixed("failed to convert bundle"):
        return untainted(bundle_wire.from_proto(message))


def untainted(bundle: Bundle) -> Bundle:
    """The bundle with no authority tainted."""
    return replace(
        bundle,
        x509_authorities=tuple(replace(each, tainted=False) for each in bundle.x509_authorities),
        jwt_authorities=tuple(replace(each, tainted=False) for each in bundle.jwt_authorities),
        wit_authorities=tuple(replace(each, tainted=False) for each in bundle.wit_authorities),
    )


def parse_bundle_update(message: bundle_pb2.Bundle, mask: bundle_pb2.BundleMask | None) -> BundleUpdate:
    """The values of the fields the mask names, or of all without a mask.

    Raises:
        InvalidArgumentError: the trust domain or an authority does not parse.
    """
    bundle = parse_bundle(message)
    if mask is None:
        return BundleUpdate(bundle)
    return BundleUpdate(bundle, frozenset(field for name, field in _FIELDS.items() if getattr(mask, name)))


def parse_x509(messages: Iterable[bundle_pb2.X509Certificate]) -> list[X509Authority]:
    """X.509 authorities to append.

    Raises:
        InvalidArgumentError: one does not parse.
    """
    with prefixed("failed to convert X.509 authority"):
        found = [each for message in messages for each in bundle_wire.x509_from_proto(message)]
    return [replace(each, tainted=False) for each in found]


def parse_jwt(messages: Iterable[bundle_pb2.JWTKey]) -> list[JwtAuthority]:
    """JWT authorities to append.

    Raises:
        InvalidArgumentError: one does not parse.
    """
    with prefixed("failed to convert JWT authority"):
        found = [bundle_wire.jwt_key_from_proto(message) for message in messages]
    return [replace(each, tainted=False) for each in found]


def parse_wit(messages: Iterable[bundle_pb2.WITKey]) -> list[WitAuthority]:
    """WIT authorities to append.

    Raises:
        InvalidArgumentError: one does not parse.
    """
    with prefixed("failed to convert WIT authority"):
        found = [bundle_wire.wit_key_from_proto(message) for message in messages]
    return [replace(each, tainted=False) for each in found]
