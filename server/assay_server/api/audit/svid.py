"""What calls of the SVID service are about."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from assay_server.api.audit.values import digest, spiffe_id
from assay_server.audit.record import Fields


def x509_minted(request: Any, response: Any) -> Fields:  # noqa: ANN401 - messages of many types, here and below
    """The request, and the names and the end of what was minted."""
    asked: dict[str, str | int | bool] = {"csr": digest(request.csr), "ttl": request.ttl}
    if response is None:
        return asked
    csr = x509.load_der_x509_csr(request.csr)
    expires_at = datetime.fromtimestamp(response.svid.expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    names = {"dns_name": ",".join(_dns_names(csr)), "subject": csr.subject.rfc4514_string()}
    return {**asked, **spiffe_id(response.svid, "spiffe_id", "id"), **names, "expires_at": expires_at}


def jwt_minted(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """For whom, for which audience and for how long; never the token."""
    audience = {"audience": ",".join(request.audience)} if request.audience else {}
    return {"ttl": request.ttl, **spiffe_id(request, "spiffe_id", "id"), **audience}


def wit_minted(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """For whom and for how long."""
    return {"ttl": request.ttl, **spiffe_id(request, "spiffe_id", "id")}


def jwt_issued(request: Any, response: Any) -> Fields:  # noqa: ANN401
    """By which entry, for whom and for which audience; never the token."""
    svid = response.svid if response is not None else None
    asked = {"entry_id": request.entry_id, "audience": ",".join(request.audience)}
    return {**asked, **spiffe_id(svid, "spiffe_id", "id")}


def downstream(request: Any, _response: Any) -> Fields:  # noqa: ANN401
    """The request."""
    return {"csr": digest(request.csr)}


def x509_issued(request: Any, response: Any) -> Iterable[tuple[Fields, Any]]:  # noqa: ANN401
    """By which entry each was issued, for whom and until when."""
    for asked, result in zip(request.params, response.results, strict=True):
        svid = result.svid if result.HasField("svid") else None
        whom = spiffe_id(svid, "spiffe_id", "id") or {"spiffe_id": ""}
        until = {"expires_at": svid.expires_at} if svid is not None else {}
        yield {"csr": digest(asked.csr), "entry_id": asked.entry_id, **whom, **until}, result.status


def instance_issued(request: Any, response: Any) -> Iterable[tuple[Fields, Any]]:  # noqa: ANN401
    """Likewise, of which instance."""
    for asked, (about, status) in zip(request.params, x509_issued(request, response), strict=True):
        yield {**about, "instance": asked.instance}, status


def instance_jwt_issued(request: Any, response: Any) -> Fields:  # noqa: ANN401
    """Likewise, of which instance and within which task; never the token."""
    task = response.task_id if response is not None else request.task_id
    return {**jwt_issued(request, response), "instance": request.instance, "task_id": task}


def instance_wit_issued(request: Any, response: Any) -> Fields:  # noqa: ANN401
    """By which entry, for which instance and within which task; never the token."""
    task = response.task_id if response is not None else request.task_id
    svid = response.svid if response is not None else None
    about = {"entry_id": request.entry_id, "instance": request.instance, "task_id": task}
    return {**about, **spiffe_id(svid, "spiffe_id", "id")}


def wit_issued(request: Any, response: Any) -> Iterable[tuple[Fields, Any]]:  # noqa: ANN401
    """By which entry each was issued, for whom and until when; never the token."""
    for asked, result in zip(request.params, response.results, strict=True):
        svid = result.svid if result.HasField("svid") else None
        whom = spiffe_id(svid, "spiffe_id", "id") or {"spiffe_id": ""}
        until = {"expires_at": svid.expires_at} if svid is not None else {}
        yield {"entry_id": asked.entry_id, **whom, **until}, result.status


def _dns_names(csr: x509.CertificateSigningRequest) -> list[str]:
    try:
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return names.value.get_values_for_type(x509.DNSName)
