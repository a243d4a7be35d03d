"""Log levels as spire.api.types.LogLevel has them."""

from collections.abc import Mapping

from assay.config.logging import LogLevel
from assay_proto.spire.api.types import logger_pb2 as pb

TO_PROTO: "Mapping[LogLevel, pb.LogLevel.ValueType]" = {
    "panic": pb.PANIC, "fatal": pb.FATAL, "error": pb.ERROR, "warning": pb.WARN, "info": pb.INFO, "debug": pb.DEBUG,
    "trace": pb.TRACE,
}  # fmt: skip
FROM_PROTO: Mapping[int, LogLevel] = {number: level for level, number in TO_PROTO.items()}
