"""Workload attestation: from a process to selectors."""

from collections.abc import Collection, Mapping
from typing import Protocol, runtime_checkable

from assay.selector import Selector


@runtime_checkable
class WorkloadAttestor(Protocol):
    """Finds out about one process on this host."""

    @property
    def name(self) -> str:
        """The selectors' type and the plugin's name, such as `unix`."""
        ...

    async def attest(self, pid: int) -> tuple[Selector, ...]:
        """Selectors of the process; raises AssayError when it cannot tell."""
        ...


@runtime_checkable
class Withholding(Protocol):
    """What a workload attestor may have besides: it says what it does not look for as it is configured."""

    @property
    def withheld(self) -> Mapping[str, str]:
        """By the part before a selector's value, such as `path`, the setting that would have it look for it."""
        ...


@runtime_checkable
class TellingInstances(Protocol):
    """What a workload attestor may have besides: it tells copies of one program apart.

    What it tells is no selector, since no entry can name it beforehand, and workloads with equal selectors share what
    the agent keeps for them.
    """

    @property
    def instance_keys(self) -> Collection[str]:
        """What it can tell by, such as `process`: an entry says `unix:process`."""
        ...

    async def instance(self, key: str, pid: int) -> str:
        """A value that no other copy has, now or later, on this host; raises AssayError when it cannot tell."""
        ...


def withheld_by(attestor: WorkloadAttestor) -> Mapping[str, str]:
    """What it does not look for; nothing if it does not say."""
    return attestor.withheld if isinstance(attestor, Withholding) else {}
