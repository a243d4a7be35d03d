"""Running a daemon in this process until it ends."""

import asyncio
import gc
import os
import resource
import signal
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, cast

import structlog
import typer
import uvloop

from assay import log
from assay.clock import Clock, SystemClock
from assay.config.fault import ConfigError, Fault
from assay.config.logging import LogSettings
from assay.errors import AssayError
from assay.loglevel import LiveLevel
from assay.reload import SIGNALS

# No file or folder of ours is for others, nor for the group to write (SPIRE's umask). Sockets get their modes by name.
UMASK = 0o027

logger = structlog.get_logger(__name__)


def run_daemon(
    name: str,
    settings: LogSettings,
    warnings: Iterable[Fault],
    serve: Callable[[Clock, LiveLevel], Coroutine[Any, Any, None]],
) -> None:
    """Log as configured and serve until a signal.

    Raises:
        ConfigError: the log file cannot be opened.
        typer.Exit: with status 1 when the daemon failed; the log has the reason.
    """
    # Until the daemon is ready for them they would end it.
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    clock = SystemClock()
    try:
        process_log = log.configure(settings, clock)
    except OSError as error:
        raise ConfigError([Fault(str(settings.file), "log_file", f"cannot be opened: {error.strerror}")]) from None

    def reopen(_number: int, _frame: object) -> None:
        process_log.output.reopen()

    signal.signal(signal.SIGUSR2, reopen)
    os.umask(os.umask(UMASK) | UMASK)
    raise_file_limit()
    for warning in warnings:
        logger.warning(
            "Configuration is not fully used", place=warning.where, setting=warning.key, reason=warning.reason
        )
    # What imports made stays until the end: nothing for the collector to go through again and again.
    gc.freeze()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(clock, process_log.level))
    except Exception as error:  # noqa: BLE001 - the outermost boundary of the process
        _log_crash(name, _cause(error))
        raise typer.Exit(1) from None
    ended = f"{name} stopped gracefully"
    logger.info(ended)


def raise_file_limit() -> None:
    """Let the process open as many files as it may: a caller on a Unix socket takes four."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _log_crash(name: str, error: BaseException) -> None:
    message = f"{name} crashed"
    if isinstance(error, AssayError):
        hint = {"hint": error.hint} if error.hint else {}
        logger.error(message, error=error.message, **hint)
    else:
        logger.error(message, exc_info=error)


def _cause(error: BaseException) -> BaseException:
    """The first real error in what task groups wrapped it in."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
