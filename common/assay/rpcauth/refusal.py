"""What somebody is told who may not call: the code and the reason, nothing that helps to guess."""

import logging
from dataclasses import dataclass

import grpc

from assay.svid.refusal import RefusedError

REASON = "assay-reason"
"""The trailer that has the value of the `Reason`."""

# Of the standard library: the program that imports us decides what becomes of it.
log = logging.getLogger("assay.rpcauth")


@dataclass(frozen=True, slots=True)
class Refusal:
    """How a call ends that reaches no handler."""

    code: grpc.StatusCode
    details: str
    trailers: tuple[tuple[str, str], ...] = ()


UNKNOWN_METHOD = Refusal(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")


def refusal(error: Exception, method: str) -> Refusal:
    """What the caller is told of that error; all of it goes to the log `assay.rpcauth`."""
    if isinstance(error, RefusedError):
        reason = error.reason.value
        log.info("Call refused: %s", error, extra={"method": method, "reason": reason})
        return Refusal(grpc.StatusCode[error.kind.name], reason, ((REASON, reason),))
    log.error("Who calls could not be told", exc_info=error, extra={"method": method})
    return Refusal(grpc.StatusCode.UNAVAILABLE, "who calls could not be told")
