"""Log levels as spire.api.types.LogLevel has them."""

from types import MappingProxyType

from assay.config.logging import LogLevel
from assay_proto.spire.api.types import logger_pb2 as pb

TO_PROTO = MappingProxyType[LogLevel, pb.LogLevel]({
    "panic": pb.PANIC, "fatal": pb.FATAL, "error": pb.ERROR, "warning": pb.WARN, "info": pb.INFO, "debug": pb.DEBUG,
    "trace": pb.TRACE,
})  # fmt: skip
FROM_PROTO = MappingProxyType[int, LogLevel]({number: level for level, number in TO_PROTO.items()})
