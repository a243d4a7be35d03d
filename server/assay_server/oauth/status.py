"""Status lists over HTTP (draft-ietf-oauth-status-list, sections 8 and 9): open to whoever has a token to look up."""

from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from assay.clock import Clock
from assay.statuslist import MEDIA_TYPE
from assay_server.status.feed import StatusFeed
from assay_server.status.lists import StatusLists
from assay_server.status.reporting import Take

# Browsers ask as well (section 8.1).
_OPEN = {"Access-Control-Allow-Origin": "*"}
_RANGES = frozenset({MEDIA_TYPE, "application/*", "*/*"})


@dataclass(frozen=True, slots=True)
class StatusParts:
    """What stands behind all that the endpoint tells of credentials and hears of their use."""

    lists: StatusLists
    feed: StatusFeed
    take: Take


class StatusPages:
    """The handlers."""

    def __init__(self, lists: StatusLists, clock: Clock) -> None:
        self._lists = lists
        self._clock = clock

    async def one(self, request: Request) -> Response:
        """A status list token."""
        if "time" in request.query_params:
            return _refused(HTTPStatus.NOT_IMPLEMENTED, "only what counts now is told")
        if not _acceptable(request.headers.getlist("accept")):
            return _refused(HTTPStatus.NOT_ACCEPTABLE, f"there is only {MEDIA_TYPE}")
        found = await self._lists.get(request.path_params["number"])
        if found is None:
            return _refused(HTTPStatus.NOT_FOUND, "there is no such status list")
        lasts = found.lasts(self._clock.now().timestamp())
        headers = {**_OPEN, "Cache-Control": f"public, max-age={lasts}", "ETag": found.etag, "Vary": "Accept"}
        if _same(request.headers.getlist("if-none-match"), found.etag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(found.token, headers=headers, media_type=MEDIA_TYPE)

    async def all(self, _: Request) -> Response:
        """The URIs of all lists (section 9.3)."""
        return JSONResponse({"status_lists": await self._lists.uris()}, headers={**_OPEN, "Cache-Control": "no-cache"})


def _refused(status: HTTPStatus, why: str) -> Response:
    return JSONResponse({"error": "invalid_request", "error_description": why}, status.value, _OPEN)


def _acceptable(values: list[str]) -> bool:
    """Whether a list in the one form there is will do (RFC 9110 section 12.5.1); whoever says nothing takes all."""
    offers = [offer.strip().lower() for value in values for offer in value.split(",") if offer.strip()]
    return not offers or any(_wanted(offer) for offer in offers)


def _wanted(offer: str) -> bool:
    kind, *parameters = (part.strip() for part in offer.split(";"))
    return kind in _RANGES and not any(_nothing(one) for one in parameters)


def _nothing(parameter: str) -> bool:
    name, _, weight = parameter.partition("=")
    return name.strip() == "q" and not weight.strip().strip("0.")


def _same(values: list[str], etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for value in values for tag in value.split(",")]
    return "*" in tags or etag in tags
