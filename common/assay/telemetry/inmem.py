"""Metrics kept in memory until somebody asks with SIGUSR1; one log line each, in SPIRE's form."""

from collections.abc import Iterator
from dataclasses import dataclass

from assay.telemetry.emitter import Take
from assay.telemetry.metrics import Key, Labels

_FORBIDDEN = str.maketrans(" :", "__")


@dataclass(slots=True)
class _Aggregate:
    count: int = 0
    total: float = 0.0
    least: float = 0.0
    most: float = 0.0

    def add(self, value: float) -> None:
        self.least = min(self.least, value) if self.count else value
        self.most = max(self.most, value) if self.count else value
        self.count += 1
        self.total += value

    def __str__(self) -> str:
        mean = self.total / self.count if self.count else 0.0
        return f"Count: {self.count} Sum: {self.total:.3f} Min: {self.least:.3f} Mean: {mean:.3f} Max: {self.most:.3f}"


class InMemorySink:
    """Everything since the start."""

    def __init__(self) -> None:
        self._gauges: dict[str, float] = {}
        self._counters: dict[str, _Aggregate] = {}
        self._summaries: dict[str, _Aggregate] = {}

    def counter(self, key: Key, labels: Labels) -> Take:
        """How often, and how much."""
        return self._counters.setdefault(_name(key, labels), _Aggregate()).add

    def gauge(self, key: Key, labels: Labels) -> Take:
        """The last value."""
        name = _name(key, labels)

        def put(value: float) -> None:
            self._gauges[name] = value

        return put

    def summary(self, key: Key, labels: Labels) -> Take:
        """How often, how much, the least and the most."""
        return self._summaries.setdefault(_name(key, labels), _Aggregate()).add

    def lines(self) -> Iterator[str]:
        """One for each metric."""
        yield from (f"[G] '{name}': {value:.3f}" for name, value in sorted(self._gauges.items()))
        yield from (f"[C] '{name}': {aggregate}" for name, aggregate in sorted(self._counters.items()))
        yield from (f"[S] '{name}': {aggregate}" for name, aggregate in sorted(self._summaries.items()))


def _name(key: Key, labels: Labels) -> str:
    return ".".join((*key, *(value.translate(_FORBIDDEN) for _, value in labels)))
