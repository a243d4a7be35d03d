"""Quantiles of what was measured lately."""

import math
from collections import deque
from collections.abc import Sequence

# Seconds and samples: old ones say nothing of now, and a flood of them must not fill memory.
AGE = 10.0
SIZE = 1024


class Window:
    """The sum and number of all samples, and the last of them."""

    __slots__ = ("_recent", "count", "total")

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self._recent: deque[tuple[float, float]] = deque(maxlen=SIZE)

    def add(self, value: float, now: float) -> None:
        """Take a sample at `now` (monotonic seconds)."""
        self.count += 1
        self.total += value
        self._recent.append((now, value))

    def quantiles(self, ranks: Sequence[float], now: float) -> list[float]:
        """The value at each rank among the samples of the last seconds; NaN when there is none."""
        values = sorted(value for at, value in self._recent if now - at <= AGE)
        if not values:
            return [math.nan] * len(ranks)
        return [values[min(len(values) - 1, max(0, math.ceil(rank * len(values)) - 1))] for rank in ranks]
