"""Statsd and DogStatsD. Plain statsd knows no labels: their values follow the name, as in SPIRE."""

import logging

from datadog.dogstatsd.base import DogStatsd

from assay.config.address import host_port
from assay.telemetry.emitter import Take
from assay.telemetry.metrics import Key, Labels

# Seconds between two sendings.
FLUSH_INTERVAL = 0.3

# A collector that is not there would fill the log, a line for each packet.
logging.getLogger("datadog.dogstatsd").setLevel(logging.ERROR)

_FORBIDDEN = str.maketrans(": |@#,\n", "_______")


class StatsdSink:
    """Sends in UDP packets from a thread of the library's; what cannot be sent is lost. `tags`: labels as DogStatsD's.

    Raises:
        InvalidArgumentError: the address is none.
    """

    def __init__(self, address: str, *, tags: bool) -> None:
        host, port = host_port(address)
        self._tags = tags
        self._client = DogStatsd(
            host=host,
            port=port,
            flush_interval=FLUSH_INTERVAL,
            disable_buffering=False,
            disable_telemetry=True,
            origin_detection_enabled=False,
        )
        # The environment's tags are for Datadog's own agents; SPIRE's lines have none of them.
        self._client.constant_tags = []

    def counter(self, key: Key, labels: Labels) -> Take:
        """Lines of type `c`."""
        name, tags = self._named(key, labels)
        return lambda value: self._client.increment(name, _whole(value), tags)

    def gauge(self, key: Key, labels: Labels) -> Take:
        """Lines of type `g`."""
        name, tags = self._named(key, labels)
        return lambda value: self._client.gauge(name, _whole(value), tags)

    def summary(self, key: Key, labels: Labels) -> Take:
        """Lines of type `ms`."""
        name, tags = self._named(key, labels)
        return lambda value: self._client.timing(name, round(value, 6), tags)

    def close(self) -> None:
        """Send what waits, and no more."""
        self._client.flush()
        # `stop` would leave the library's thread behind.
        self._client.disable_buffering = True
        self._client.close_socket()

    def _named(self, key: Key, labels: Labels) -> tuple[str, list[str] | None]:
        if self._tags:
            tags = [f"{_safe(name)}:{_safe(value)}" if value else _safe(name) for name, value in labels]
            return _safe(".".join(key)), tags
        return _safe(".".join((*key, *(value for _, value in labels)))), None


def _safe(text: str) -> str:
    return text.translate(_FORBIDDEN)


def _whole(value: float) -> float:
    """Whole numbers without a point, since a counter's value is one to DogStatsD."""
    return int(value) if value == int(value) else value
