"""Where an application finds who makes a request."""

from collections.abc import Mapping
from typing import Any

from assay.caller import Caller
from assay.errors import UnauthenticatedError

STATE = "state"
KEY = "spiffe"


def caller(scope: Mapping[str, Any]) -> Caller:
    """Who makes the request of this ASGI scope.

    Raises:
        UnauthenticatedError: the request did not come through the middleware, or its path is open to everyone.
    """
    found = scope.get(STATE, {}).get(KEY)
    if not isinstance(found, Caller):
        raise UnauthenticatedError("nobody is known to make this request", hint="is SpiffeMiddleware around the app?")
    return found
