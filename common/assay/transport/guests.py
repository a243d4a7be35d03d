"""Connections whose callers have shown no certificate, by where they come from."""

from collections.abc import Callable, Hashable


class Guest:
    """A connection whose caller has shown no certificate, or not yet. `whence` is what it shares its places with."""

    def __init__(self, evict: Callable[[], object], whence: Hashable = "") -> None:
        self.evict = evict
        self.whence = whence

    def leave(self) -> None:
        """Have the connection ended, by what ends it now."""
        self.evict()


class Guests:
    """All of them, in the order they came. Each method takes the same time however many there are."""

    def __init__(self) -> None:
        self._from: dict[Hashable, dict[Guest, None]] = {}
        # Whence so many came at a time; the largest number is the last that is not empty.
        self._crowds: list[dict[Hashable, None]] = [{}]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, guest: Guest) -> None:
        """One more."""
        crowd = self._from.setdefault(guest.whence, {})
        crowd[guest] = None
        self._count += 1
        self._moved(guest.whence, len(crowd) - 1, len(crowd))

    def discard(self, guest: Guest) -> None:
        """It is gone, or no guest any more; nothing happens the second time."""
        crowd = self._from.get(guest.whence, {})
        if guest not in crowd:
            return
        del crowd[guest]
        self._count -= 1
        self._moved(guest.whence, len(crowd) + 1, len(crowd))
        if not crowd:
            del self._from[guest.whence]

    def move(self, guest: Guest, whence: Hashable) -> None:
        """It turned out to come from elsewhere; nothing happens to one that is gone."""
        if guest in self._from.get(guest.whence, {}):
            self.discard(guest)
            guest.whence = whence
            self.add(guest)

    def crowded_out(self) -> Guest:
        """The oldest from where most come: whoever sends many pays with its own. There has to be one."""
        return next(iter(self._from[next(iter(self._crowds[-1]))]))

    def _moved(self, whence: Hashable, before: int, now: int) -> None:
        if now == len(self._crowds):
            self._crowds.append({})
        self._crowds[before].pop(whence, None)
        if now:
            self._crowds[now][whence] = None
        if len(self._crowds) > 1 and not self._crowds[-1]:
            self._crowds.pop()
