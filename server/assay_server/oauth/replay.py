"""What was presented once and must not be again, for as long as it would be taken."""

from assay.errors import ResourceExhaustedError

MAX_SEEN = 100_000


class Seen:
    """Names of proofs, each until its end. When it is full nothing is taken, rather than something twice."""

    def __init__(self, limit: int = MAX_SEEN) -> None:
        self._limit = limit
        self._ends: dict[str, float] = {}

    def first(self, name: str, now: float, ends_at: float) -> bool:
        """Whether it was not presented before; times are Unix seconds.

        Raises:
            ResourceExhaustedError: too many are remembered.
        """
        if self._ends.get(name, now) > now:
            return False
        if len(self._ends) >= self._limit:
            self._forget(now)
        if len(self._ends) >= self._limit:
            raise ResourceExhaustedError("too many proofs of possession at once")
        self._ends[name] = ends_at
        return True

    def _forget(self, now: float) -> None:
        self._ends = {name: ends_at for name, ends_at in self._ends.items() if ends_at > now}
