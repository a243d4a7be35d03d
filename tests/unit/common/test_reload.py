"""A reload in a running daemon: what is taken over, what is said, and that no fault changes anything."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from assay.config.fault import ConfigError, Fault
from assay.config.logging import LogSettings
from assay.errors import UnavailableError
from assay.loglevel import LiveLevel
from assay.reload import Reload


@dataclass(frozen=True)
class Config:
    ca_ttl: int = 1
    admin_ids: tuple[str, ...] = ()
    log: LogSettings = field(default_factory=LogSettings)


@dataclass
class Daemon:
    """What a reload finds in the file, and what it did of it."""

    file: Config = Config()
    fault: Exception | None = None
    refusal: Exception | None = None
    applied: list[Config] = field(default_factory=list)
    level: LiveLevel = field(default_factory=lambda: LiveLevel("info", logging.NullHandler()))

    def __post_init__(self) -> None:
        self.reload = Reload(Config(), self.read, self.level)

    def read(self) -> Config:
        if self.fault is not None:
            raise self.fault
        return self.file

    async def apply(self, config: Config) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.applied.append(config)


@asynccontextmanager
async def running(daemon: Daemon) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(daemon.reload.run({"admin_ids"}, daemon.apply))
        yield
        task.cancel()


async def reloaded(daemon: Daemon) -> list[EventDict]:
    """What one reload says."""
    with capture_logs() as logs:
        daemon.reload.ask()
        async with asyncio.timeout(5):
            said: list[str] = []
            while not any(event.startswith("Configuration") for event in said):
                await asyncio.sleep(0)
                said = [line["event"] for line in logs]
    assert logs[0]["event"] == "Reconfigure signal received"
    return logs[1:]


async def test_what_is_live_is_taken_over_and_the_rest_is_named() -> None:
    daemon = Daemon(file=Config(2, ("spiffe://a/b",), LogSettings(level="debug")))
    async with running(daemon):
        logs = await reloaded(daemon)
    assert daemon.applied == [daemon.file]
    assert daemon.level.current == "debug"
    assert logs == [
        {"event": "Configuration reloaded", "changed": "admin_ids, log_level", "log_level": "info"},
        {"event": "Changes of the configuration need a restart", "settings": "ca_ttl", "log_level": "warning"},
    ]


async def test_a_second_reload_says_only_what_still_waits() -> None:
    daemon = Daemon(file=Config(2, ("spiffe://a/b",)))
    async with running(daemon):
        await reloaded(daemon)
        logs = await reloaded(daemon)
    assert [line.get("changed", line.get("settings")) for line in logs] == ["nothing", "ca_ttl"]


@pytest.mark.parametrize(
    "fault", [ConfigError([Fault("f:3", "server.ca_ttl", "is negative")]), UnavailableError("x"), ValueError("x")]
)
@pytest.mark.parametrize("where", ["fault", "refusal"])
async def test_a_fault_changes_nothing_and_the_next_reload_works(fault: Exception, where: str) -> None:
    daemon = Daemon(file=Config(admin_ids=("spiffe://a/b",), log=LogSettings(level="debug")))
    setattr(daemon, where, fault)
    async with running(daemon):
        (line,) = await reloaded(daemon)
        assert line["event"] == "Configuration cannot be reloaded; everything stays as it was"
        assert line["log_level"] == "error"
        assert line.get("error", str(fault)) == str(fault)
        assert (daemon.applied, daemon.level.current) == ([], "info")
        daemon.fault = daemon.refusal = None
        assert (await reloaded(daemon))[0]["changed"] == "admin_ids, log_level"


async def test_a_level_set_by_an_operator_stays_until_the_files_changes() -> None:
    daemon = Daemon()
    async with running(daemon):
        daemon.level.set("trace")
        await reloaded(daemon)
        levels = [daemon.level.current]
        daemon.file = replace(daemon.file, log=LogSettings(level="error"))
        await reloaded(daemon)
        levels.append(daemon.level.current)
    assert levels == ["trace", "error"]
    assert daemon.level.launch == "info"
