"""The status of one item of a batch: a refusal becomes data beside the answers of the other items."""

import structlog

from assay.errors import AssayError, Kind
from assay.rpc.status import StatusCode
from assay.wire.status import CODES
from assay_proto.spire.api.types.status_pb2 import Status
from assay_server.authorization.caller import current_caller

log = structlog.get_logger(__name__)


def ok() -> Status:
    """The item was done."""
    return Status(code=0, message="OK")


def of(kind: Kind, message: str) -> Status:
    """That kind with these words."""
    return Status(code=CODES[kind], message=message)


def refused(error: AssayError, context: str = "") -> Status:
    """Why the item was not done, after `context` (SPIRE's words for what failed) and a colon; logged as well."""
    _log(error, context or error.message)
    return of(error.kind, _after(context, _words(error)))


def failed(error: AssayError, context: str, words: str = "") -> Status:
    """INTERNAL, for what SPIRE does not tell apart from a failure of its database; logged as well.

    `words` are SPIRE's database's, where the error has others.
    """
    _log(error, context)
    return Status(code=StatusCode.INTERNAL, message=_after(context, words or _words(error)))


def _words(error: AssayError) -> str:
    return str(error) if current_caller().hints else error.message


def _after(context: str, words: str) -> str:
    return f"{context}: {words}" if context else words


def _log(error: AssayError, what: str) -> None:
    event = f"Invalid argument: {what}" if error.kind is Kind.INVALID_ARGUMENT else what[:1].upper() + what[1:]
    log.error(event, error=str(error))
