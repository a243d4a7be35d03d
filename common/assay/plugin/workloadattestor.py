"""Workload attestation: from a process to selectors."""

from typing import Protocol

from assay.selector import Selector


class WorkloadAttestor(Protocol):
    """Finds out about one process on this host."""

    @property
    def name(self) -> str:
        """The selectors' type and the plugin's name, such as `unix`."""
        ...

    async def attest(self, pid: int) -> tuple[Selector, ...]:
        """Selectors of the process; raises AssayError when it cannot tell."""
        ...
