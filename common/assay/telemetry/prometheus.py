"""Prometheus's text format, with the names that SPIRE's metrics have there.

prometheus-client's own counters end in `_total`, which SPIRE's do not: dashboards would find nothing. So it brings
what it knows of the process; the families are kept and written here.
"""

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from time import monotonic

from prometheus_client import REGISTRY
from prometheus_client.exposition import generate_latest

from assay.telemetry.emitter import Take
from assay.telemetry.metrics import Key, Labels
from assay.telemetry.window import Window

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
QUANTILES = (0.5, 0.9, 0.99)

_FORBIDDEN = str.maketrans(" .=-/", "_____")
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class PrometheusSink:
    """Families of series, written out when somebody asks; that may be another thread."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._families: dict[str, tuple[str, dict[Labels, float]]] = {}
        self._summaries: dict[str, dict[Labels, Window]] = {}

    def counter(self, key: Key, labels: Labels) -> Take:
        """A series of type counter."""
        series = self._series(key, "counter", labels)

        def add(value: float) -> None:
            with self._lock:
                series[labels] += value

        return add

    def gauge(self, key: Key, labels: Labels) -> Take:
        """A series of type gauge."""
        series = self._series(key, "gauge", labels)

        def put(value: float) -> None:
            with self._lock:
                series[labels] = value

        return put

    def summary(self, key: Key, labels: Labels) -> Take:
        """A series of type summary: sum, count, and quantiles of the last ten seconds."""
        window = Window()
        with self._lock:
            self._summaries.setdefault(flat(key), {})[labels] = window

        def add(value: float) -> None:
            with self._lock:
                window.add(value, self._now())

        return add

    def render(self) -> bytes:
        """Everything, and what there is to say of the process."""
        with self._lock:
            lines = [*self._plain(), *self._windows()]
        return generate_latest(REGISTRY) + "".join(f"{line}\n" for line in lines).encode()

    def _series(self, key: Key, kind: str, labels: Labels) -> dict[Labels, float]:
        with self._lock:
            _, series = self._families.setdefault(flat(key), (kind, {}))
            series[labels] = 0.0
        return series

    def _plain(self) -> Iterator[str]:
        for name, (kind, series) in sorted(self._families.items()):
            yield from _head(name, kind)
            for labels, value in series.items():
                yield _line(name, labels, value)

    def _windows(self) -> Iterator[str]:
        now = self._now()
        for name, series in sorted(self._summaries.items()):
            yield from _head(name, "summary")
            for labels, window in series.items():
                for rank, value in zip(QUANTILES, window.quantiles(QUANTILES, now), strict=True):
                    yield _line(name, (*labels, ("quantile", str(rank))), value)
                yield _line(f"{name}_sum", labels, window.total)
                yield _line(f"{name}_count", labels, window.count)


def flat(key: Key) -> str:
    """A key as Prometheus's name."""
    return "_".join(key).translate(_FORBIDDEN)


def _head(name: str, kind: str) -> Iterable[str]:
    return f"# HELP {name} {name}", f"# TYPE {name} {kind}"


def _number(value: float) -> str:
    return "NaN" if math.isnan(value) else repr(float(value))


def _line(name: str, labels: Labels, value: float) -> str:
    # A label given twice would be a broken exposition; the last one counts, as in SPIRE.
    pairs = ",".join(f'{key}="{text.translate(_ESCAPES)}"' for key, text in sorted(dict(labels).items()))
    return f"{name}{{{pairs}}} {_number(value)}" if pairs else f"{name} {_number(value)}"
