"""What is held of the status of credentials and identities, as the updates of assay.status.v1 tell it.

Whoever holds it decides on it, so that it errs on one side only: a credential once revoked stays so until long after
it has expired, whatever comes later, and knowledge is never taken for younger than it is proven to be.
"""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from assay.spiffeid import SpiffeId
from assay.status.log import KEPT_AFTER_EXPIRY
from assay.status.parts import revoked_of
from assay.status.values import Revoked
from assay_proto.status.v1 import status_pb2

__all__ = ["GRACE", "KEPT_AFTER_EXPIRY", "Revoked", "StatusView"]

GRACE = 2
"""Seconds that an update may be under way, `at` being cut to a whole second among them."""


class StatusView:
    """One replica. It asks no clock and does no I/O; it is not for use by several threads at once.

    `now` is in Unix seconds by the clock that `at` of the updates is by; where the two differ, knowledge is older.
    """

    def __init__(self) -> None:
        self._position = 0
        self._incarnation = ""
        self._interval = 0
        self._known_at = -math.inf
        self._revoked: dict[str, Revoked] = {}
        self._withdrawn: dict[str, str] = {}
        self._coming: dict[str, str] | None = None
        self._staleness: dict[str, int] = {}

    @property
    def position(self) -> int:
        """Everything until here is held; 0 before the first complete snapshot, and while another one comes."""
        return self._position

    @property
    def incarnation(self) -> str:
        """The store that the position is of."""
        return self._incarnation

    @property
    def interval(self) -> int:
        """Seconds; the longest pause between two updates while all is well."""
        return self._interval

    @property
    def known_at(self) -> float:
        """When this was the whole truth last, in Unix seconds; minus infinity before the first complete snapshot."""
        return self._known_at

    @property
    def staleness(self) -> Mapping[str, int]:
        """The classes of actions for which older knowledge will do, and how old, in seconds."""
        return MappingProxyType(self._staleness)

    def apply(self, update: status_pb2.Update, now: float) -> None:
        """Take in what came. A continuation of a stream that is not this view's voids it until there is a snapshot."""
        if update.snapshot:
            self._begin(update.incarnation)
        elif update.incarnation != self._incarnation:
            self._position, self._incarnation, self._known_at = 0, "", -math.inf
            self._coming = None
        for one in update.revoked:
            self._revoked[one.jti] = revoked_of(one)
        self._note(update.identities)
        if update.snapshot or update.staleness:
            self._staleness = dict(update.staleness)
        if not update.more and self._incarnation:
            self._complete(update, now)

    def revoked(self, jti: str) -> Revoked | None:
        """That credential's revocation, if it was revoked; an expired one may be forgotten."""
        return self._revoked.get(jti)

    def withdrawn(self, spiffe_id: SpiffeId) -> bool:
        """Whether that identity counts no more."""
        return self._counts_not(str(spiffe_id))

    def age(self, now: float) -> float:
        """Seconds since this was known to be the whole truth; infinity before the first complete snapshot.

        While all is well it is less than `interval` and GRACE together.
        """
        return max(0.0, now - self._known_at)

    def allowed_age(self, action_class: str) -> int:
        """How old knowledge may be, in seconds, to decide on an action of that class; 0 for those not named."""
        return self._staleness.get(action_class, 0)

    def fresh(self, action_class: str, now: float) -> bool:
        """Whether an action of that class may be decided on this now.

        Knowledge is as old as the pause between two updates even while all is well: that much is always allowed.
        """
        return self.age(now) <= self.allowed_age(action_class) + self._interval + GRACE

    def prune(self, now: float) -> None:
        """Forget what nobody can present any more."""
        over = [one.jti for one in self._revoked.values() if one.expires_at + KEPT_AFTER_EXPIRY <= now]
        for jti in over:
            del self._revoked[jti]

    def revocations(self) -> Iterable[Revoked]:
        """All that are held."""
        return self._revoked.values()

    def withdrawals(self) -> Mapping[str, str]:
        """All SPIFFE IDs that count no more, and why."""
        return MappingProxyType(self._withdrawn)

    def _begin(self, incarnation: str) -> None:
        """A snapshot comes in parts; what is held counts until the last of them is there.

        Until then there is no position to go on from: whose stream breaks meanwhile has to ask for a snapshot again.
        """
        if incarnation != self._incarnation:
            self._known_at = -math.inf
        self._position, self._incarnation = 0, incarnation
        self._coming = {}

    def _note(self, identities: Iterable[status_pb2.Identity]) -> None:
        held = self._withdrawn if self._coming is None else self._coming
        for one in identities:
            if one.withdrawn:
                held[one.spiffe_id] = one.cause
            else:
                held.pop(one.spiffe_id, None)

    def _complete(self, update: status_pb2.Update, now: float) -> None:
        if self._coming is not None:
            self._withdrawn, self._coming = self._coming, None
        elif update.position < self._position:
            return  # what is held already, told late: it proves nothing of now
        self._position = update.position
        self._interval = update.interval
        self._known_at = max(self._known_at, min(update.at, now))

    def _counts_not(self, name: str) -> bool:
        return name in self._withdrawn or (self._coming is not None and name in self._coming)
