"""How long to wait after failures in a row."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays that grow by `factor` from `first` to `limit` seconds, each spread by `jitter` of itself either way."""

    first: float
    limit: float
    factor: float = 1.5
    jitter: float = 0.1

    def delay(self, failures: int, draw: float) -> float:
        """Seconds to wait after that many failures (1 or more); `draw` is a random number in [0, 1)."""
        # Exponents beyond this overflow a float long after the limit is reached.
        grown = min(self.limit, self.first * self.factor ** min(failures - 1, 100))
        return grown * (1 + self.jitter * (2 * draw - 1))
