"""The one place where a refusal of a Workload API call becomes a gRPC status."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeAlias, TypeVar

import structlog

from assay.errors import AssayError
from assay.rpc.status import EndError, StatusCode
from assay.wire.status import CODES
from assay.workloadapi.wire import Context

log = structlog.get_logger(__name__)

S = TypeVar("S")
Q = TypeVar("Q")
A = TypeVar("A")

Handler: TypeAlias = Callable[[S, Q, Context], Awaitable[A]]


def guarded(handler: Handler[S, Q, A]) -> Handler[S, Q, A]:
    """A handler whose AssayErrors are the call's status.

    Hints stay here: a caller that is refused is not one to explain the agent to.
    """

    @wraps(handler)
    async def guard(self: S, request: Q, context: Context) -> A:
        try:
            return await handler(self, request, context)
        except AssayError as error:
            await context.abort(CODES[error.kind], error.message)
        except EndError:
            # Refused already, or over: the caller went while we answered.
            raise
        except Exception:
            log.exception("Workload API call failed", method=handler.__name__)
            await context.abort(StatusCode.INTERNAL, "internal error")

    return guard
