"""What a calling process is, by all workload attestors at once."""

import asyncio
from collections.abc import Sequence
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

    async def attest(self, peer: Attestable) -> frozenset[Selector]:
        """Selectors of the caller.

        Raises:
            UnauthenticatedError: the caller has exited, so that its PID may be another's.
            UnavailableError: every plugin failed.
        """
        check_alive(peer)
        with measured(self._metrics, ("workload_api", "workload_attestation")):
            found = await self._ask_all(peer.pid)
            check_alive(peer)
            if self._plugins and all(one is None for one in found):
                raise UnavailableError("no workload attestor succeeded")
        selectors = frozenset(selector for one in found if one is not None for selector in one)
        self._metrics.sample(("workload_api", "discovered_selectors"), len(selectors))
        if peer.pid != self._own_pid:
            log.debug("PID attested to have selectors", pid=peer.pid, selectors=sorted(map(str, selectors)))
        return selectors

    async def _ask_all(self, pid: int) -> list[tuple[Selector, ...] | None]:
        if len(self._plugins) == 1:
            return [await self._ask(self._plugins[0], pid)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._ask(plugin, pid)) for plugin in self._plugins]
        return [task.result() for task in tasks]

    async def _ask(self, plugin: WorkloadAttestor, pid: int) -> tuple[Selector, ...] | None:
        try:
            with measured(self._metrics, ("workload_api", "workload_attestor"), (("attestor", plugin.name),)):
                async with asyncio.timeout(self._deadline):
                    return await plugin.attest(pid)
        except (AssayError, TimeoutError) as error:
            why = str(error) or "deadline exceeded"
            log.error("Workload attestor failed", attestor=plugin.name, pid=pid, error=why)  # noqa: TRY400 - a refusal
        except Exception:
            # A plugin's fault must cost its own selectors only.
            log.exception("Workload attestor failed", attestor=plugin.name, pid=pid)
        return None


def check_alive(peer: Attestable) -> None:
    """Raise UnauthenticatedError unless the process that connected still runs."""
    if not peer.process.alive():
        raise UnauthenticatedError("could not verify existence of the original caller")
