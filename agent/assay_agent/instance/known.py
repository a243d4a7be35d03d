"""What is known of instances: their SVIDs, who follows them, and which processes they are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from assay.entry import Entry
from assay.errors import AssayError
from assay.transport.peer import UnixPeer
from assay_agent.cache import Identity
from assay_agent.instance.watch import ProcessWatch
from assay_agent.sync.plan import outdated

Key = tuple[str, str]
"""An entry's ID and the value of an instance."""


@dataclass(slots=True, eq=False)
class Instance:
    """One instance: its SVID with the entry under its own SPIFFE ID, or why there is none.

    `entry` is as it is registered now, `signed_for` as it was when the SVID was signed. `renew_at` is in Unix seconds;
    before `rested` and `retry_at`, by the monotonic clock, nothing is done: the wall clock may be set back.
    """

    entry: Entry
    value: str
    identity: Identity | None = None
    refusal: AssayError | None = None
    signed_for: Entry | None = None
    renew_at: float = 0.0
    rested: float = 0.0
    retry_at: float = 0.0
    failures: int = 0
    followers: set[Callable[[], object]] = field(default_factory=set[Callable[[], object]])
    processes: set[int] = field(default_factory=set[int])

    @property
    def key(self) -> Key:
        """What it is kept under."""
        return self.entry.id, self.value

    @property
    def settled(self) -> bool:
        """Whether there is an answer, if only a refusal."""
        return self.identity is not None or self.refusal is not None

    def due_in(self, now: float, monotonic: float) -> float:
        """Seconds until it is to be signed; none or fewer: at once."""
        lacking = self.identity is None or self.signed_for is None or outdated(self.signed_for, self.entry)
        pause = 0.0 if lacking else max(self.renew_at - now, self.rested - monotonic)
        return max(pause, self.retry_at - monotonic)

    def put_entry(self, entry: Entry) -> None:
        """Take the entry as it is now; what was refused of it as it was may be granted."""
        if entry is not self.entry and entry != self.entry:
            self.refusal, self.retry_at = None, 0.0
        self.entry = entry

    def wake(self) -> None:
        """Tell who follows that it has changed."""
        for follower in tuple(self.followers):
            follower()


class KnownInstances:
    """Instances that somebody follows, and those of processes that still run; of these the newest `limit`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._known: dict[Key, Instance] = {}
        self._of_process: dict[int, set[Instance]] = {}
        self._watch = ProcessWatch(self._ended)

    def __len__(self) -> int:
        return len(self._known)

    @property
    def followed(self) -> Sequence[Instance]:
        """Those that are to have an SVID now."""
        return [one for one in self._known.values() if one.followers]

    @property
    def all(self) -> Sequence[Instance]:
        """All, the one that was asked for last at the end."""
        return tuple(self._known.values())

    def follow(self, entry: Entry, value: str, peer: UnixPeer, wake: Callable[[], object]) -> Instance:
        """The one that this process is."""
        instance = self._known.pop((entry.id, value), None) or Instance(entry, value)
        self._known[instance.key] = instance
        instance.put_entry(entry)
        instance.followers.add(wake)
        # First, since it may turn out that the number was an earlier process's.
        if self._watch.watch(peer):
            instance.processes.add(peer.pid)
            self._of_process.setdefault(peer.pid, set()).add(instance)
        return instance

    def leave(self, instance: Instance, wake: Callable[[], object]) -> None:
        """Not followed any more by whom that woke."""
        instance.followers.discard(wake)
        self._drop_unused(instance)
        idle = [one for one in self._known.values() if not one.followers]
        for one in idle[: max(0, len(idle) - self.limit)]:
            self.drop(one)

    def drop(self, instance: Instance) -> None:
        """Forget it; who follows it is told."""
        if self._known.get(instance.key) is instance:
            del self._known[instance.key]
        for pid in instance.processes:
            self._part(pid, instance)
        instance.processes.clear()
        instance.wake()

    def _ended(self, pid: int) -> None:
        for instance in self._of_process.pop(pid, set()):
            instance.processes.discard(pid)
            self._drop_unused(instance)

    def _drop_unused(self, instance: Instance) -> None:
        if not instance.followers and not instance.processes:
            self.drop(instance)

    def _part(self, pid: int, instance: Instance) -> None:
        instances = self._of_process.get(pid, set())
        instances.discard(instance)
        if not instances:
            self._of_process.pop(pid, None)
            self._watch.forget(pid)
