"""All checks, in the order in which causes come before effects."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

from assay.cli.doctor.clock import check_clock, look_at_clock
from assay.cli.doctor.daemon import ENTRY_POINTS, Daemon, Setup
from assay.cli.doctor.files import check_files
from assay.cli.doctor.finding import Finding, failed, ok, skipped, warning
from assay.cli.doctor.handshake import Presented, look_at_server
from assay.cli.doctor.live import check_workload, server_authorities
from assay.cli.doctor.machine import check_machine, look_at_machine
from assay.cli.doctor.sockets import ask, check_open_files, check_socket, look_at_socket
from assay.cli.doctor.trust import check_authorities, check_trust
from assay.clock import Clock, SystemClock
from assay.config.fault import ConfigError


@dataclass(frozen=True, slots=True)
class Request:
    """What to look at, by the daemons' names; what is None is looked for where it is by default."""

    configs: Mapping[str, Path | None]
    sockets: Mapping[str, Path | None]
    expand_env: bool = False


def examine(request: Request) -> list[Finding]:
    """Look at everything."""
    return asyncio.run(_Examination(request, SystemClock()).run())


def find_daemons() -> list[Daemon]:
    """The daemons that are installed."""
    found: list[Daemon] = [point.load() for point in entry_points(group=ENTRY_POINTS)]
    return sorted(found, key=lambda daemon: daemon.public)


class _Examination:
    def __init__(self, request: Request, clock: Clock) -> None:
        self._request = request
        self._clock = clock

    async def run(self) -> list[Finding]:
        found = [*check_machine(look_at_machine()), *check_clock(await look_at_clock(self._clock))]
        for daemon in find_daemons():
            config, setup = self._configured(daemon)
            found += [config, *self._warnings(daemon, setup)]
            if setup is not None:
                found += check_files(daemon.name, setup)
            found += await self._live(daemon, setup)
            if setup is not None:
                found += await asyncio.to_thread(check_trust, daemon.name, setup, self._clock.now())
        return found

    def _configured(self, daemon: Daemon) -> tuple[Finding, Setup | None]:
        check, named = f"{daemon.name} config", self._request.configs.get(daemon.name)
        if named is None and not daemon.default_config.exists():
            advice = f"name it with --{daemon.name}-config to have its files and trust looked at"
            return skipped(check, f"{daemon.default_config} is not there", advice), None
        path = named or daemon.default_config
        if not path.exists():
            return failed(check, f"{path}: could not find config file", f"name it with --{daemon.name}-config"), None
        if not os.access(path, os.R_OK):
            return skipped(check, f"{path} may not be read by this user", "run this as the daemon's user"), None
        try:
            setup = daemon.load(path, os.environ if self._request.expand_env else None)
        except ConfigError as error:
            faults = "; ".join(map(str, error.faults))
            return failed(check, faults, error.hint or "correct it; docs/configuration.md has every key"), None
        return ok(check, f"{path} is valid"), setup

    def _warnings(self, daemon: Daemon, setup: Setup | None) -> Iterator[Finding]:
        for fault in setup.warnings if setup else ():
            yield warning(f"{daemon.name} config", str(fault), "take the key out, or do without what it asks for")

    async def _live(self, daemon: Daemon, setup: Setup | None) -> list[Finding]:
        named = self._request.sockets.get(daemon.name)
        path = named or (setup.socket if setup else daemon.default_socket)
        answer = await ask(daemon, path)
        expected = named is not None or setup is not None
        found = check_socket(daemon, *look_at_socket(path), answer, expected=expected)
        if answer.listening is None:
            found += [one for one in (check_open_files(daemon, answer.pid),) if one]
            found += await self._answers(daemon, path, setup)
        return found

    async def _answers(self, daemon: Daemon, path: Path, setup: Setup | None) -> list[Finding]:
        if daemon.public:
            return [await check_workload(path, self._clock.now())]
        authorities = await server_authorities(path)
        if isinstance(authorities, Finding):
            return [authorities]
        address = setup.address if setup else None
        presented = await asyncio.to_thread(look_at_server, address) if address else Presented()
        return check_authorities("server bundle", address, presented, authorities, self._clock.now())
