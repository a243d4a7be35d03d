"""What a calling process is, by all workload attestors at once."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from assay.errors import AssayError, UnauthenticatedError, UnavailableError
from assay.plugin.workloadattestor import WorkloadAttestor
from assay.selector import Selector
from assay.telemetry.metrics import OFF, Metrics, measured
from assay.transport.peer import Process

log = structlog.get_logger(__name__)

# Seconds that one plugin may take.
DEADLINE = 5.0


class Attestable(Protocol):
    """A process that its pidfd keeps from being taken for another: a peer, or one that somebody names."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    @property
    def process(self) -> Process:
        """The process."""
        ...


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about a process; `failures` says of each attestor that could not tell why, by its name."""

    selectors: frozenset[Selector]
    failures: Mapping[str, str] = field(default_factory=dict[str, str])


class Attestor:
    """Selectors of a process: the union of what the plugins find. A plugin that fails is logged and left out.

    The agent's own calls (`own_pid`: its health check) are not logged.
    """

    def __init__(
        self, plugins: Sequence[WorkloadAttestor], *, own_pid: int, deadline: float = DEADLINE, metrics: Metrics = OFF
    ) -> None:
        self._plugins = tuple(plugins)
        self._own_pid = own_pid
        self._deadline = deadline
        self._metrics = metrics

    @property
    def plugins(self) -> Sequence[WorkloadAttestor]:
        """Those it asks."""
        return self._plugins

    def use(self, plugins: Sequence[WorkloadAttestor]) -> None:
        """Ask these from the next caller on."""
        self._plugins = tuple(plugins)

    async def attest(self, peer: Attestable) -> frozenset[Selector]:
        """Selectors of the caller.

        Raises:
            UnauthenticatedError: the caller has exited, so that its PID may be another's.
            UnavailableError: every plugin failed.
        """
        check_alive(peer)
        plugins = self._plugins
        with measured(self._metrics, ("workload_api", "workload_attestation")):
            found = await self._examine(plugins, peer.pid)
            check_alive(peer)
            if plugins and len(found.failures) == len(plugins):
                raise UnavailableError("no workload attestor succeeded")
        self._metrics.sample(("workload_api", "discovered_selectors"), len(found.selectors))
        if peer.pid != self._own_pid:
            log.debug("PID attested to have selectors", pid=peer.pid, selectors=sorted(map(str, found.selectors)))
        return found.selectors

    async def examine(self, pid: int) -> Findings:
        """What the plugins find of the process with that number, whether or not it stays the same one meanwhile."""
        return await self._examine(self._plugins, pid)

    async def _examine(self, plugins: Sequence[WorkloadAttestor], pid: int) -> Findings:
        answers = await self._ask_all(plugins, pid)
        pairs = list(zip(plugins, answers, strict=True))
        return Findings(
            frozenset(one for answer in answers if not isinstance(answer, str) for one in answer),
            {plugin.name: answer for plugin, answer in pairs if isinstance(answer, str)},
        )

    async def _ask_all(self, plugins: Sequence[WorkloadAttestor], pid: int) -> list[tuple[Selector, ...] | str]:
        if len(plugins) == 1:
            return [await self._ask(plugins[0], pid)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(plugin, pid)) for plugin in plugins]
        return [task.result() for task in tasks]

    async def _ask(self, plugin: WorkloadAttestor, pid: int) -> tuple[Selector, ...] | str:
        """Its selectors, or why there are none."""
        try:
            with measured(self._metrics, ("workload_api", "workload_attestor"), (("attestor", plugin.name),)):
                async with asyncio.timeout(self._deadline):
                    return await plugin.attest(pid)
        except (AssayError, TimeoutError) as error:
            why = str(error) or "deadline exceeded"
            log.error("Workload attestor failed", attestor=plugin.name, pid=pid, error=why)  # noqa: TRY400 - a refusal
            return why
        except Exception:
            # A plugin's fault must cost its own selectors only.
            log.exception("Workload attestor failed", attestor=plugin.name, pid=pid)
            return "internal error; the agent's log has it"


def check_alive(peer: Attestable) -> None:
    """Raise UnauthenticatedError unless the process that connected still runs."""
    if not peer.process.alive():
        raise UnauthenticatedError("could not verify existence of the original caller")
