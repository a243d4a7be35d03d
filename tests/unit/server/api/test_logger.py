"""The level of the log over real gRPC."""

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import grpc
import pytest
from structlog.testing import capture_logs

from assay.loglevel import LiveLevel
from assay.rpc.method import Service
from assay.wire.logger import LoggerApi
from assay.wire.service import LOGGER, served
from assay_proto.spire.api.server.logger.v1 import logger_pb2 as pb
from assay_proto.spire.api.server.logger.v1.logger_pb2_grpc import LoggerStub
from assay_proto.spire.api.types import logger_pb2
from assay_server.authorization.caller import Caller, CallerKind

if TYPE_CHECKING:
    from assay_proto.spire.api.server.logger.v1.logger_pb2_grpc import LoggerAsyncStub

Serve = Callable[[Service, Caller], Awaitable[grpc.aio.Channel]]
LEVELS = {
    "panic": logger_pb2.PANIC, "fatal": logger_pb2.FATAL, "error": logger_pb2.ERROR, "warning": logger_pb2.WARN,
    "info": logger_pb2.INFO, "debug": logger_pb2.DEBUG, "trace": logger_pb2.TRACE,
}  # fmt: skip


@pytest.fixture
def level() -> LiveLevel:
    return LiveLevel("info", logging.NullHandler())


@pytest.fixture
async def stub(serve: Serve, level: LiveLevel) -> "LoggerAsyncStub":
    return LoggerStub(await serve(served(LOGGER, LoggerApi(level)), Caller(CallerKind.LOCAL)))


def said(answer: logger_pb2.Logger) -> tuple[int, int]:
    return answer.current_level, answer.launch_level


async def test_the_level_is_told(stub: "LoggerAsyncStub") -> None:
    assert said(await stub.GetLogger(pb.GetLoggerRequest())) == (logger_pb2.INFO, logger_pb2.INFO)


@pytest.mark.parametrize("name", LEVELS)
async def test_each_level_can_be_set_and_is_told_by_its_name(
    stub: "LoggerAsyncStub", level: LiveLevel, name: str
) -> None:
    with capture_logs() as logs:
        answer = await stub.SetLogLevel(pb.SetLogLevelRequest(new_level=LEVELS[name]))
    assert said(answer) == (LEVELS[name], logger_pb2.INFO)
    assert level.current == name
    assert [(line["event"], line["new_log_level"]) for line in logs] == [("SetLogLevel Called", name)]


async def test_a_reset_goes_back_to_the_launch(stub: "LoggerAsyncStub", level: LiveLevel) -> None:
    level.set("error")
    with capture_logs() as logs:
        answer = await stub.ResetLogLevel(pb.ResetLogLevelRequest())
    assert said(answer) == (logger_pb2.INFO, logger_pb2.INFO)
    assert level.current == "info"
    assert [(line["event"], line["launch_log_level"]) for line in logs] == [("ResetLogLevel Called", "info")]


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "newLevel value cannot be LogLevel_UNSPECIFIED"), (8, "unsupported log level"), (-1, "unsupported log level")],
)
async def test_what_is_no_level_changes_nothing(
    stub: "LoggerAsyncStub", level: LiveLevel, number: "logger_pb2.LogLevel.ValueType", words: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.SetLogLevel(pb.SetLogLevelRequest(new_level=number))
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, words)
    assert level.current == "info"
