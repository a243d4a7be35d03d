"""Names, labels and filters, as go-metrics treats them in SPIRE."""

from dataclasses import replace

import pytest

from assay.telemetry.emitter import Emitter, Take, allowed
from assay.telemetry.metrics import Key, Labels
from assay.telemetry.settings import TelemetrySettings

SETTINGS = TelemetrySettings()


class Sink:
    def __init__(self) -> None:
        self.taken: list[tuple[str, str, Labels, float]] = []
        self.opened = 0

    def counter(self, key: Key, labels: Labels) -> Take:
        return self._take("counter", key, labels)

    def gauge(self, key: Key, labels: Labels) -> Take:
        return self._take("gauge", key, labels)

    def summary(self, key: Key, labels: Labels) -> Take:
        return self._take("summary", key, labels)

    def _take(self, kind: str, key: Key, labels: Labels) -> Take:
        self.opened += 1
        return lambda value: self.taken.append((kind, ".".join(key), labels, value))


def emitted(settings: TelemetrySettings = SETTINGS, labels: Labels = (("status", "OK"),)) -> list[tuple[str, Labels]]:
    sink = Sink()
    Emitter([sink], settings, prefix="spire_server", trust_domain="example.org", host="h-1.test").count(
        ("datastore", "bundle", "fetch"), 1, labels
    )
    return [(name, kept) for _, name, kept, _ in sink.taken]


def test_the_three_kinds_reach_every_sink() -> None:
    sinks = Sink(), Sink()
    emitter = Emitter(sinks, SETTINGS, prefix="p", trust_domain="t", host="")
    emitter.count(("a",), 2)
    emitter.gauge(("b",), 3)
    emitter.sample(("c",), 4.5)
    wanted = [("counter", "p.a", (), 2), ("gauge", "p.b", (), 3), ("summary", "p.c", (), 4.5)]
    assert [sink.taken for sink in sinks] == [wanted, wanted]


def test_a_sink_is_asked_once_for_each_series() -> None:
    sink = Sink()
    emitter = Emitter([sink], SETTINGS, prefix="p", trust_domain="t", host="")
    for _ in range(3):
        emitter.count(("a",))
    emitter.count(("a",), 1, (("status", "OK"),))
    assert (sink.opened, len(sink.taken)) == (2, 4)


def test_labels_are_made_safe_and_the_host_is_left_as_it_is() -> None:
    labels = (("trust_domain_id", "spiffe://example.org"), ("version", "1.2-_3"))
    assert emitted(labels=labels) == [
        (
            "spire_server.datastore.bundle.fetch",
            (("trust_domain_id", "spiffe_example_org"), ("version", "1_2_3"), ("host", "h-1.test")),
        )
    ]


def test_prefix_and_labels_of_the_settings() -> None:
    settings = replace(SETTINGS, prefix="mine", trust_domain_label=True, hostname_label=False)
    assert emitted(settings) == [("mine.datastore.bundle.fetch", (("status", "OK"), ("trust_domain", "example_org")))]


@pytest.mark.parametrize(
    ("allow", "block", "sent"),
    [
        ((), (), True),
        (("spire_server.rpc",), (), True),
        ((), ("spire_server.data",), False),
        (("spire_server.datastore.bundle",), ("spire_server.datastore",), True),
        (("spire_server",), ("spire_server.datastore",), False),
        (("spire_server.datastore",), ("spire_server.datastore",), False),
    ],
)
def test_the_longest_prefix_decides(allow: tuple[str, ...], block: tuple[str, ...], *, sent: bool) -> None:
    settings = replace(SETTINGS, allowed_prefixes=allow, blocked_prefixes=block)
    assert allowed("spire_server.datastore.bundle.fetch", settings) is sent
    assert bool(emitted(settings)) is sent


@pytest.mark.parametrize(
    ("allow", "block", "kept"),
    [
        (None, (), ["status", "host"]),
        (None, ("host",), ["status"]),
        (("status",), (), ["status"]),
        (("status",), ("status",), []),
        ((), (), []),
    ],
)
def test_labels_are_filtered(allow: tuple[str, ...] | None, block: tuple[str, ...], kept: list[str]) -> None:
    ((_, labels),) = emitted(replace(SETTINGS, allowed_labels=allow, blocked_labels=block))
    assert [name for name, _ in labels] == kept
