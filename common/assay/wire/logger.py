"""SPIRE's Logger service, which the server and the agent each have under a name of its own: the level of the log."""

from typing import Protocol

import structlog

from assay.errors import InvalidArgumentError
from assay.loglevel import LiveLevel
from assay.wire.loglevel import FROM_PROTO, TO_PROTO
from assay_proto.spire.api.types import logger_pb2

log = structlog.get_logger(__name__)


class SetLogLevelRequest(Protocol):
    """That message of either."""

    @property
    def new_level(self) -> int:
        """A spire.api.types.LogLevel."""
        ...


class LoggerApi:
    """The Logger service. Each change is logged before it is made: afterwards the level may hide it."""

    def __init__(self, level: LiveLevel) -> None:
        self._level = level

    async def GetLogger(self, _request: object, _context: object) -> logger_pb2.Logger:
        """The level now and at launch."""
        log.info("GetLogger Called")
        return self._answer()

    async def SetLogLevel(self, request: SetLogLevelRequest, _context: object) -> logger_pb2.Logger:
        """Log by another level until the next change or the end of the process."""
        if request.new_level == logger_pb2.UNSPECIFIED:
            raise InvalidArgumentError("newLevel value cannot be LogLevel_UNSPECIFIED")
        level = FROM_PROTO.get(request.new_level)
        if level is None:
            raise InvalidArgumentError("unsupported log level")
        log.info("SetLogLevel Called", new_log_level=level)
        self._level.set(level)
        return self._answer()

    async def ResetLogLevel(self, _request: object, _context: object) -> logger_pb2.Logger:
        """Log by the level of the launch again."""
        log.info("ResetLogLevel Called", launch_log_level=self._level.launch)
        self._level.reset()
        return self._answer()

    def _answer(self) -> logger_pb2.Logger:
        return logger_pb2.Logger(current_level=TO_PROTO[self._level.current], launch_level=TO_PROTO[self._level.launch])
