"""Status without a server: what has ended, as the test says, told to verifiers in memory or over a socket."""

import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from assay.clock import Clock
from assay.spiffeid import SpiffeId
from assay.standing import Question, Standing
from assay.svid import compact
from assay.tasktoken.held import Held
from assay_proto.status.v1 import status_pb2 as pb

INTERVAL = 1
"""Seconds; the longest pause between two updates."""


@dataclass(slots=True)
class _Told:
    """What happened, by position."""

    revoked: dict[str, tuple[int, pb.Revoked]] = field(default_factory=dict[str, tuple[int, pb.Revoked]])
    identities: dict[str, tuple[int, pb.Identity]] = field(default_factory=dict[str, tuple[int, pb.Identity]])


class InMemoryStatus:
    """What a trust domain's server tells of the status of credentials. A `StatusSource`, to be asked as it is.

    `held` is the position that the last verifier on a socket said it obeys; `reports` are those that came over one,
    with their numbers. It may be used from several threads.

    Args:
        clock: whose time it tells.
    """

    def __init__(self, clock: Clock) -> None:
        self.staleness: Mapping[str, int] = {}
        """How old knowledge may be, in seconds, by class of action; classes that are not named need the newest."""
        self.skew = 0
        """Seconds by which the server's clock is ahead."""
        self.incarnation = secrets.token_hex(8)
        self.position = 1
        self.held = 0
        self.reports: list[tuple[int, pb.Report]] = []
        self.starts: list[pb.Start] = []
        """What verifiers on sockets said that they hold when they came."""
        self.taking = True
        """Whether reports are written down."""
        self._clock = clock
        self._silent = False
        self._told = _Told()
        self._view = Held(clock)
        self._watchers: list[Callable[[], object]] = []
        self._lock = threading.RLock()

    def revoke(self, token: str, cause: str = "revoked") -> None:
        """End that task token, or JWT-SVID with a `jti`, before its time."""
        _, payload = compact.split(token)
        mission = payload.get("mission")
        task_id = str(mission.get("id", "")) if isinstance(mission, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType] - of any JSON
        jti, ends_at = str(payload["jti"]), int(compact.expiry(payload))
        now = int(self._now())
        with self._lock:
            revoked = pb.Revoked(jti=jti, task_id=task_id, expires_at=ends_at, revoked_at=now, cause=cause)
            self._told.revoked[jti] = self._next(), revoked
        self._tell()

    def withdraw(self, spiffe_id: SpiffeId, cause: str = "suspended") -> None:
        """Have that identity count no more."""
        self._note(pb.Identity(spiffe_id=str(spiffe_id), withdrawn=True, cause=cause))

    def restore(self, spiffe_id: SpiffeId) -> None:
        """Have it count again."""
        self._note(pb.Identity(spiffe_id=str(spiffe_id)))

    def silence(self) -> None:
        """Tell nothing any more: what verifiers hold grows old."""
        self._silent = True

    def speak(self) -> None:
        """Tell again."""
        self._silent = False
        self._tell()

    @property
    def silent(self) -> bool:
        """Whether nothing is told."""
        return self._silent

    def standing(self, question: Question, /) -> Standing:
        """What is known now."""
        with self._lock:
            if not self._silent:
                self._view.apply(self.update(self._view.start))
        return self._view.standing(question)

    def update(self, start: pb.Start) -> pb.Update:
        """What whoever holds that much has to be told."""
        with self._lock:
            known = start.incarnation == self.incarnation and 0 < start.position <= self.position
            since = start.position if known else 0
            return pb.Update(
                position=self.position,
                incarnation=self.incarnation,
                snapshot=not known,
                at=int(self._now()),
                interval=INTERVAL,
                revoked=[one for number, one in self._told.revoked.values() if number > since],
                identities=[
                    one for number, one in self._told.identities.values() if number > since and (known or one.withdrawn)
                ],
                staleness=self.staleness,
            )

    def take(self, reports: pb.Reports) -> pb.ReportsTaken | None:
        """Write them down, each number once; None while none are taken."""
        if not self.taking:
            return None
        with self._lock:
            known = {number for number, _ in self.reports}
            numbered = enumerate(reports.reports, reports.first)
            self.reports += [(number, one) for number, one in numbered if number not in known]
        return pb.ReportsTaken(reporter=reports.reporter, last=reports.first + len(reports.reports) - 1)

    def watch(self, changed: Callable[[], object]) -> Callable[[], None]:
        """Call `changed` after each change; returns the function that ends it."""
        self._watchers.append(changed)
        return lambda: self._watchers.remove(changed)

    def _note(self, identity: pb.Identity) -> None:
        with self._lock:
            self._told.identities[identity.spiffe_id] = self._next(), identity
        self._tell()

    def _next(self) -> int:
        self.position += 1
        return self.position

    def _now(self) -> float:
        return self._clock.now().timestamp() + self.skew

    def _tell(self) -> None:
        for changed in tuple(self._watchers):
            changed()
