"""What calls about bundles, foreign trust domains and authorities are about."""

from collections.abc import Iterable
from typing import Any

from assay_server.api.audit.values import digest, enum_name
from assay_server.audit.record import Fields


def own(_request: Any, response: Any) -> Fields:  # noqa: ANN401 - messages of many types, here and below
    """Our own trust domain."""
    return {"trust_domain_id": response.trust_domain} if response is not None else {}


def named(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """The trust domain that was named."""
    return {"trust_domain_id": request.trust_domain}


def appended(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """The authorities."""
    return _authorities(request, None)


def published(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """The JWT authority."""
    return _jwt(request.jwt_authority, "") if request.HasField("jwt_authority") else {}


def authority(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """The local authority that was named."""
    return {"local_authority_id": request.authority_id} if request.authority_id else {}


def upstream(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """The upstream authority that was named."""
    return {"subject_key_id": request.subject_key_id} if request.subject_key_id else {}


def batch(request: Any, response: Any) -> Iterable[tuple[Fields, Any]]:  # noqa: ANN401
    """Each bundle as it was sent, through the input mask if there is one."""
    mask = _input_mask(request)
    for bundle, result in zip(request.bundle, response.results, strict=True):
        yield _bundle(bundle, mask), result.status


def deleted(request: Any, response: Any) -> Iterable[tuple[Fields, Any]]:  # noqa: ANN401
    """Each trust domain, and what was to become of entries that name it."""
    mode = enum_name(request, "mode")
    for result in response.results:
        yield {"trust_domain_id": result.trust_domain, "mode": mode}, result.status


def relationships(request: Any, response: Any) -> Iterable[tuple[Fields, Any]]:  # noqa: ANN401
    """Each relationship as it was sent, through the input mask if there is one."""
    mask = _input_mask(request)
    for relationship, result in zip(request.federation_relationships, response.results, strict=True):
        yield _relationship(relationship, mask), result.status


def relationships_deleted(_request: Any, response: Any) -> Iterable[tuple[Fields, Any]]:  # noqa: ANN401
    """Each trust domain."""
    for result in response.results:
        yield {"trust_domain_id": result.trust_domain}, result.status


def _input_mask(request: Any) -> Any:  # noqa: ANN401
    masked = "input_mask" in request.DESCRIPTOR.fields_by_name and request.HasField("input_mask")
    return request.input_mask if masked else None


def _bundle(bundle: Any, mask: Any) -> dict[str, str | int | bool]:  # noqa: ANN401
    fields: dict[str, str | int | bool] = {"trust_domain_id": bundle.trust_domain}
    for name in ("refresh_hint", "sequence_number"):
        if mask is None or getattr(mask, name):
            fields[name] = getattr(bundle, name)
    return fields | _authorities(bundle, mask)


def _authorities(message: Any, mask: Any) -> dict[str, str | int | bool]:  # noqa: ANN401
    fields: dict[str, str | int | bool] = {}
    if mask is None or mask.jwt_authorities:
        for at, key in enumerate(message.jwt_authorities):
            fields |= _jwt(key, f".{at}")
    if mask is None or mask.x509_authorities:
        for at, certificate in enumerate(message.x509_authorities):
            fields[f"x509_authorities_asn1_sha256.{at}"] = digest(certificate.asn1)
    return fields


def _jwt(key: Any, suffix: str) -> dict[str, str | int | bool]:  # noqa: ANN401
    return {
        f"jwt_authority_expires_at{suffix}": key.expires_at,
        f"jwt_authority_key_id{suffix}": key.key_id,
        f"jwt_authority_public_key_sha256{suffix}": digest(key.public_key),
    }


def _relationship(relationship: Any, mask: Any) -> dict[str, str | int | bool]:  # noqa: ANN401
    fields: dict[str, str | int | bool] = {}
    if relationship.trust_domain:
        fields["trust_domain_id"] = relationship.trust_domain
    if mask is None or mask.bundle_endpoint_url:
        fields["bundle_endpoint_url"] = relationship.bundle_endpoint_url
    profile = relationship.WhichOneof("bundle_endpoint_profile")
    if profile and (mask is None or mask.bundle_endpoint_profile):
        fields["bundle_endpoint_profile"] = profile
        if profile == "https_spiffe":
            fields["endpoint_spiffe_id"] = relationship.https_spiffe.endpoint_spiffe_id
    if relationship.HasField("trust_domain_bundle") and (mask is None or mask.trust_domain_bundle):
        fields |= {f"bundle_{key}": value for key, value in _bundle(relationship.trust_domain_bundle, None).items()}
    return fields
