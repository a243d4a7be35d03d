"""Who makes a request, once that is proven."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from assay.errors import UnauthenticatedError
from assay.spiffeid import SpiffeId
from assay.svid import JwtSvid

STATE = "state"
KEY = "spiffe"


@dataclass(frozen=True, slots=True)
class Caller:
    """`token` is the request's JWT-SVID, `peer` the ID by the connection's X.509-SVID; one of them is there."""

    token: JwtSvid | None
    peer: SpiffeId | None

    @property
    def spiffe_id(self) -> SpiffeId:
        """Whom the request speaks for: the token's subject, or else the peer."""
        if self.token is not None:
            return self.token.spiffe_id
        return cast("SpiffeId", self.peer)


def caller(scope: Mapping[str, Any]) -> Caller:
    """Who makes the request of this ASGI scope.

    Raises:
        UnauthenticatedError: the request did not come through the middleware, or its path is open to everyone.
    """
    found = scope.get(STATE, {}).get(KEY)
    if not isinstance(found, Caller):
        raise UnauthenticatedError("nobody is known to make this request", hint="is SpiffeMiddleware around the app?")
    return found
