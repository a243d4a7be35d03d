"""Where a handler finds who calls it."""

from contextvars import ContextVar

from assay.caller import Caller
from assay.errors import UnauthenticatedError

CURRENT: ContextVar[Caller] = ContextVar("assay.rpcauth caller")


def current_caller() -> Caller:
    """Who makes the call that this code handles.

    Raises:
        UnauthenticatedError: no call that came through an interceptor, or its method is open to everyone.
    """
    found = CURRENT.get(None)
    if found is None:
        raise UnauthenticatedError("nobody is known to make this call", hint="has the server its ServerInterceptor?")
    return found
