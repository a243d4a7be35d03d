"""What a verifier holds of the status of credentials, for any number of threads to decide on.

Three clocks meet here. `at` of an update is the server's; how old it is by now is counted on this machine, by its
monotonic clock and by its wall clock, whichever is further; and where the two machines' clocks differ, by no more than
verifiers allow, that is no age.
"""

import math
import threading
from dataclasses import dataclass

from assay.clock import Clock
from assay.spiffeid import SpiffeId
from assay.standing import Ended, Question, Standing
from assay.status.view import GRACE, StatusView
from assay.svid.compact import LEEWAY
from assay.svid.refusal import Reason
from assay.workloadapi.errors import MalformedResponseError
from assay_proto.status.v1 import status_pb2

# Seconds by which wall and monotonic clock may drift apart before the wall clock was set.
_DRIFT = 1.0


@dataclass(frozen=True, slots=True)
class _Reference:
    """A moment by three clocks, in seconds: the server's, and this machine's two."""

    server: float
    wall: float
    monotonic: float

    def jumped(self, wall: float, monotonic: float) -> bool:
        return abs((wall - self.wall) - (monotonic - self.monotonic)) > _DRIFT

    def later(self, wall: float, monotonic: float) -> float:
        """The server's time by now: never less than either clock counted."""
        return self.server + max(wall - self.wall, monotonic - self.monotonic)


class ServerTime:
    """What time the server has, from what it says and the clocks here.

    An update was under way for a while, so that the one which makes the server's clock the furthest counts. That it is
    behind this machine's is believed of a live update alone, not of one that may have lain somewhere, and never by
    more than `LEEWAY`.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._reference: _Reference | None = None

    def now(self) -> float:
        """In Unix seconds; by the wall clock before anything was said."""
        wall, monotonic = self._clocks()
        if self._reference is None:
            return wall
        return min(max(self._reference.later(wall, monotonic), wall - LEEWAY), wall + LEEWAY)

    def said(self, at: float, *, live: bool) -> None:
        """Take note of what time it was there, some moment ago; `live`: when it was sent, and not before."""
        wall, monotonic = self._clocks()
        known = self._reference
        anew = known is None or known.jumped(wall, monotonic)
        if (live and anew) or at > (wall if known is None else known.later(wall, monotonic)):
            self._reference = _Reference(at, wall, monotonic)

    def _clocks(self) -> tuple[float, float]:
        return self._clock.now().timestamp(), self._clock.monotonic()


class Held:
    """A view and its clock under one lock: one applies what comes, others decide on it. A `StatusSource`."""

    def __init__(self, clock: Clock) -> None:
        self._view = StatusView()
        self._time = ServerTime(clock)
        self._said = -math.inf
        self._live = False
        self._clock = clock
        self._applied = -math.inf
        self._lock = threading.Lock()

    @property
    def start(self) -> status_pb2.Start:
        """Where to go on from."""
        with self._lock:
            return status_pb2.Start(position=self._view.position, incarnation=self._view.incarnation)

    def begin(self) -> None:
        """A stream begins: what it tells first may be older than the stream."""
        with self._lock:
            self._live = False

    def apply(self, update: status_pb2.Update) -> bool:
        """Take in what came; whether all until its position is held now.

        Raises:
            MalformedResponseError: it goes on from something that is not held.
        """
        with self._lock:
            self._time.said(update.at, live=self._live)
            self._live = not update.more
            self._view.apply(update, self._time.now())
            self._said = max(self._said, update.at)
            self._view.prune(self._time.now())
            if not update.more and math.isinf(self._view.known_at):
                raise MalformedResponseError("malformed response: status goes on from what is not held here")
            if update.more:
                return False
            self._applied = self._clock.monotonic()
            return True

    def standing(self, question: Question, /) -> Standing:
        """What is known now."""
        with self._lock:
            age, ordinary = self._age(), self._view.interval + GRACE
            return Standing(
                ended=self._ended(question),
                age=age,
                fresh=age <= self._view.allowed_age(question.action_class) + ordinary,
                degraded=age > ordinary,
                issuer_time=self._said,
            )

    def age(self) -> float:
        """Seconds since what is held was the whole truth; infinity before it ever was."""
        with self._lock:
            return self._age()

    def _age(self) -> float:
        # A wall clock that is set back must not make it younger.
        return max(self._view.age(self._time.now()), self._clock.monotonic() - self._applied)

    def _ended(self, question: Question) -> Ended | None:
        if question.jti and (revoked := self._view.revoked(question.jti)) is not None:
            return Ended(Reason.REVOKED, revoked.cause)
        if any(map(self._withdrawn, question.identities)):
            return Ended(Reason.WITHDRAWN, "")
        return None

    def _withdrawn(self, spiffe_id: SpiffeId) -> bool:
        return self._view.withdrawn(spiffe_id)
