"""Metrics on their way to sinks: prefixed, labelled and filtered as go-metrics does it in SPIRE."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeAlias

from assay.telemetry.metrics import Key, Labels
from assay.telemetry.settings import TelemetrySettings

Take: TypeAlias = Callable[[float], None]

_NOT_SAFE = re.compile(r"\W+_?", re.ASCII)


class Sink(Protocol):
    """Where metrics go. It is asked once for each key and set of labels, and then given the values."""

    def counter(self, key: Key, labels: Labels) -> Take: ...  # noqa: D102 - the three kinds of the port
    def gauge(self, key: Key, labels: Labels) -> Take: ...  # noqa: D102
    def summary(self, key: Key, labels: Labels) -> Take: ...  # noqa: D102


class Emitter:
    """Metrics that reach every sink. For one event loop: sinks that other threads read see to that themselves."""

    def __init__(
        self, sinks: Sequence[Sink], settings: TelemetrySettings, *, prefix: str, trust_domain: str, host: str
    ) -> None:
        self._sinks = sinks
        self._settings = settings
        self._prefix = settings.prefix or prefix
        self._own: Labels = (("trust_domain", _safe(trust_domain)),) if settings.trust_domain_label else ()
        self._host: Labels = (("host", host),) if settings.hostname_label and host else ()
        self._takers: dict[tuple[str, Key, Labels], tuple[Take, ...]] = {}

    def count(self, key: Key, value: float = 1, labels: Labels = ()) -> None:
        """Add to a counter."""
        for take in self._takers.get(("counter", key, labels)) or self._opened("counter", key, labels):
            take(value)

    def gauge(self, key: Key, value: float, labels: Labels = ()) -> None:
        """Set a gauge."""
        for take in self._takers.get(("gauge", key, labels)) or self._opened("gauge", key, labels):
            take(value)

    def sample(self, key: Key, milliseconds: float, labels: Labels = ()) -> None:
        """Add to a summary."""
        for take in self._takers.get(("summary", key, labels)) or self._opened("summary", key, labels):
            take(milliseconds)

    def _opened(self, kind: str, key: Key, labels: Labels) -> tuple[Take, ...]:
        full = (self._prefix, *key)
        takers: tuple[Take, ...] = ()
        if allowed(".".join(full), self._settings):
            kept = self._kept(labels)
            takers = tuple(getattr(sink, kind)(full, kept) for sink in self._sinks)
        self._takers[kind, key, labels] = takers or (_ignore,)
        return self._takers[kind, key, labels]

    def _kept(self, labels: Labels) -> Labels:
        safe = tuple((_safe(name), _safe(value)) for name, value in labels)
        return tuple(label for label in (*safe, *self._own, *self._host) if label_allowed(label[0], self._settings))


def allowed(name: str, settings: TelemetrySettings) -> bool:
    """Whether a metric of that full name is sent: the longest matching prefix decides, blocked before allowed."""
    best = max(filter(name.startswith, (*settings.allowed_prefixes, *settings.blocked_prefixes)), key=len, default=None)
    return best is None or best not in settings.blocked_prefixes


def label_allowed(name: str, settings: TelemetrySettings) -> bool:
    """Whether a label of that name is sent."""
    if name in settings.blocked_labels:
        return False
    return settings.allowed_labels is None or name in settings.allowed_labels


def _ignore(_value: float) -> None:
    """Take what no sink is to have."""


_safe = partial(_NOT_SAFE.sub, "_")
