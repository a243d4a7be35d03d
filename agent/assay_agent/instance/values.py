"""Which instance a process is, by what it was attested to be and never by what it says."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from assay.errors import FailedPreconditionError, UnauthenticatedError
from assay.plugin.workloadattestor import TellingInstances, WorkloadAttestor
from assay.selector import Selector
from assay.transport.peer import UnixPeer


class InstanceValues:
    """Asks the attestor whose type an entry's `instance_from` begins with, or takes the selector that it found.

    `plugins` gives the attestors of the moment.
    """

    def __init__(self, plugins: Callable[[], Sequence[WorkloadAttestor]]) -> None:
        self._plugins = plugins

    async def of(self, peer: UnixPeer, selectors: AbstractSet[Selector], instance_from: str) -> str:
        """The value that tells this process's copy from all others.

        Raises:
            FailedPreconditionError: no attestor tells, or what it found is not just one value.
            UnauthenticatedError: the process has exited, so that its PID may be another's.
            AssayError: the attestor cannot tell.
        """
        kind, _, key = instance_from.partition(":")
        plugin = next((one for one in self._plugins() if one.name == kind), None)
        if not isinstance(plugin, TellingInstances) or key not in plugin.instance_keys:
            return _selected(selectors, instance_from)
        value = await plugin.instance(key, peer.pid)
        # Read by its number: it counts if the pidfd still names a living process afterwards.
        if not peer.process.alive():
            raise UnauthenticatedError("could not verify existence of the original caller")
        return value


def _selected(selectors: AbstractSet[Selector], instance_from: str) -> str:
    kind, _, key = instance_from.partition(":")
    found = [one.value[len(key) + 1 :] for one in selectors if one.type == kind and one.value.startswith(f"{key}:")]
    if len(found) != 1:
        raise FailedPreconditionError(
            f"workload has {len(found) or 'no'} {instance_from} selector{'s' if found else ''}",
            hint=f"is the {kind} workload attestor configured?",
        )
    return found[0]
