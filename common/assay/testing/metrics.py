"""Metrics that are kept, for tests to look at."""

from assay.telemetry.metrics import Key, Labels


class Recorded:
    """Everything that was measured, in order: kind, name with dots, labels, value."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, dict[str, str], float]] = []

    def count(self, key: Key, value: float = 1, labels: Labels = ()) -> None:
        """Keep a count."""
        self.taken.append(("count", ".".join(key), dict(labels), value))

    def gauge(self, key: Key, value: float, labels: Labels = ()) -> None:
        """Keep a gauge."""
        self.taken.append(("gauge", ".".join(key), dict(labels), value))

    def sample(self, key: Key, milliseconds: float, labels: Labels = ()) -> None:
        """Keep a sample."""
        self.taken.append(("sample", ".".join(key), dict(labels), milliseconds))

    def counts(self) -> dict[tuple[str, str], float]:
        """How often each name came, by its status; empty where it has none."""
        found: dict[tuple[str, str], float] = {}
        for kind, name, labels, value in self.taken:
            if kind == "count":
                key = (name, labels.get("status", ""))
                found[key] = found.get(key, 0) + value
        return found
