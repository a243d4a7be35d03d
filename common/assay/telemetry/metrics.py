"""The port: counters, gauges and samples. `OFF` takes them all and does nothing."""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from time import perf_counter
from typing import Protocol, TypeAlias

from assay.telemetry.names import status_name
from assay.telemetry.tracing import NOTHING, ending_of, span, traced

Key: TypeAlias = tuple[str, ...]
Labels: TypeAlias = tuple[tuple[str, str], ...]


class Metrics(Protocol):
    """Takes measurements. Keys and label names come from our code, and label values from a bounded set."""

    def count(self, key: Key, value: float = 1, labels: Labels = ()) -> None:
        """Something happened `value` times."""
        ...

    def gauge(self, key: Key, value: float, labels: Labels = ()) -> None:
        """Something is `value` now."""
        ...

    def sample(self, key: Key, milliseconds: float, labels: Labels = ()) -> None:
        """Something took that long."""
        ...


class Off:
    """Takes measurements and forgets them."""

    def count(self, key: Key, value: float = 1, labels: Labels = ()) -> None:
        """Forget it."""

    def gauge(self, key: Key, value: float, labels: Labels = ()) -> None:
        """Forget it."""

    def sample(self, key: Key, milliseconds: float, labels: Labels = ()) -> None:
        """Forget it."""


OFF = Off()


def ended(metrics: Metrics, key: Key, status: str, began: float, labels: Labels = ()) -> None:
    """A call ended so, that began at `began` of perf_counter: SPIRE's call counter, a count and the elapsed time."""
    labels = (*labels, ("status", status))
    metrics.count(key, 1, labels)
    metrics.sample((*key, "elapsed_time"), (perf_counter() - began) * 1000, labels)


@contextmanager
def counted(metrics: Metrics, key: Key, labels: Labels = ()) -> Generator[None]:
    """Count and time what is done within; what is raised there says how it ended, and goes on."""
    began = perf_counter()
    status = "OK"
    try:
        yield
    except BaseException as error:
        status = status_of(error)
        raise
    finally:
        ended(metrics, key, status, began, labels)


def measured(metrics: Metrics, key: Key, labels: Labels = ()) -> AbstractContextManager[object]:
    """As `counted`, and a part of what is traced. Where neither is on, nothing is done, not even slowly."""
    if not traced():
        return NOTHING if metrics is OFF else counted(metrics, key, labels)
    return _traced(metrics, key, labels)


@contextmanager
def _traced(metrics: Metrics, key: Key, labels: Labels) -> Generator[None]:
    with span(".".join(key), dict(labels)), counted(metrics, key, labels):
        yield


def status_of(error: BaseException) -> str:
    """The name of the gRPC status that stands for an exception."""
    return status_name(ending_of(error).name)
