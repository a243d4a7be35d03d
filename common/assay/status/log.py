"""Everything that is to be told, and what of it is new since a position: for whoever tells others.

Nothing is kept for single listeners: who is slow is told more at once, and who was away for too long a snapshot.
"""

from collections import deque
from collections.abc import Iterable, Mapping

from assay.status.values import Identity, Revoked, Told

KEPT_AFTER_EXPIRY = 300
"""Seconds for which an expired credential is still called revoked: clocks differ, and verifiers are lenient by some."""

MOST_NEWS = 20_000
"""How many changes are remembered one by one."""

Item = Revoked | Identity


class StatusLog:
    """Of one store, named by its incarnation, or of none yet."""

    def __init__(self, most: int = MOST_NEWS) -> None:
        self._most = most
        self._incarnation = ""
        self._position = 0
        self._reaches_back_to = 0
        self._revoked: dict[str, Revoked] = {}
        self._withdrawn: dict[str, Identity] = {}
        self._news: deque[tuple[int, Item]] = deque()

    @property
    def position(self) -> int:
        """Everything until here is in it; 0 before `begin`."""
        return self._position

    @property
    def incarnation(self) -> str:
        """The store's."""
        return self._incarnation

    @property
    def withdrawn(self) -> Mapping[str, Identity]:
        """By SPIFFE ID."""
        return self._withdrawn

    def begin(
        self,
        incarnation: str,
        position: int,
        items: Iterable[Item],
        *,
        since: int | None = None,
        news: Iterable[Item] = (),
    ) -> None:
        """Begin anew with all that there is at that position.

        `news` are what changed after position `since`, if anybody knows: who was told until then need not begin anew.
        Revocations that were told before stay, whatever store is spoken of now: they are for good.
        """
        self._incarnation, self._position = incarnation, position
        self._reaches_back_to = position if since is None else since
        self._withdrawn = {}
        self._news.clear()
        for item in items:
            self._hold(item)
        self._news.extend((position, item) for item in news)

    def advance(self, position: int, items: Iterable[Item] = ()) -> None:
        """Go on to that position, with what came on the way there."""
        self._position = position
        for item in items:
            self._hold(item)
            self._news.append((position, item))
        while len(self._news) > self._most:
            self._reaches_back_to = self._news.popleft()[0]

    def since(self, position: int, incarnation: str) -> Told:
        """What somebody lacks who holds that; (0, "") for nothing."""
        known = incarnation == self._incarnation and position > 0
        if not known or not self._reaches_back_to <= position <= self._position:
            revoked, withdrawn = tuple(self._revoked.values()), tuple(self._withdrawn.values())
            return Told(self._position, self._incarnation, True, revoked, withdrawn)
        found: dict[str, Item] = {}
        for at, item in reversed(self._news):
            if at <= position:
                break
            found.setdefault(item.jti if isinstance(item, Revoked) else item.spiffe_id, item)
        items = [*reversed(found.values())]
        revoked = tuple(one for one in items if isinstance(one, Revoked))
        identities = tuple(one for one in items if isinstance(one, Identity))
        return Told(self._position, self._incarnation, False, revoked, identities)

    def newer_than(self, position: int) -> bool:
        """Whether there is something to tell whoever holds that."""
        return bool(self._news) and self._news[-1][0] > position

    def prune(self, now: float) -> None:
        """Forget what nobody can present any more."""
        over = [one.jti for one in self._revoked.values() if one.expires_at + KEPT_AFTER_EXPIRY <= now]
        for jti in over:
            del self._revoked[jti]

    def _hold(self, item: Item) -> None:
        if isinstance(item, Revoked):
            self._revoked[item.jti] = item
        elif item.withdrawn:
            self._withdrawn[item.spiffe_id] = item
        else:
            self._withdrawn.pop(item.spiffe_id, None)
