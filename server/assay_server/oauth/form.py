"""The parameters of a request: a form of bounded size in which a parameter stands once (RFC 6749 section 3.2)."""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl

from starlette.requests import Request

from assay_server.oauth.errors import OAuthError, invalid_request

MAX_BYTES = 64 * 1024
_MAX_FIELDS = 64
# RFC 8693 section 2.1 and RFC 8707 section 2 let these be repeated.
_REPEATED = frozenset({"resource", "audience"})

Form = Mapping[str, tuple[str, ...]]


async def form_of(request: Request) -> Form:
    """The parameters of a POST; empty ones count as left out.

    Raises:
        OAuthError: it is no form, too large, or names a parameter twice.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise invalid_request("the request has to be a form (application/x-www-form-urlencoded)")
    return parsed(await _body(request))


def parsed(body: bytes) -> Form:
    """The parameters in a form.

    Raises:
        OAuthError: it is malformed, or names a parameter twice.
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), max_num_fields=_MAX_FIELDS, strict_parsing=bool(body), errors="strict")
    except ValueError:
        raise invalid_request("the form is malformed") from None
    found: dict[str, tuple[str, ...]] = {}
    for name, value in pairs:
        if name in found and name not in _REPEATED:
            raise invalid_request(f"a parameter is there twice: {name[:40]}")
        found[name] = (*found.get(name, ()), value)
    return found


def only(form: Form, name: str) -> str:
    """The parameter's one value; empty if it is not there."""
    return form.get(name, ("",))[0]


def needed(form: Form, name: str) -> str:
    """The same.

    Raises:
        OAuthError: it is not there.
    """
    if not (value := only(form, name)):
        raise invalid_request(f"missing parameter: {name}")
    return value


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise OAuthError("invalid_request", "the request is too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return bytes(body)
