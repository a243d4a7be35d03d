"""Call counters: a count and the elapsed time, labelled by how it ended."""

import asyncio

import pytest

from assay.errors import NotFoundError
from assay.rpc.status import EndError, StatusCode
from assay.telemetry.metrics import OFF, measured
from assay.testing.metrics import Recorded


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "OK"),
        (NotFoundError("none"), "NotFound"),
        (EndError(StatusCode.INVALID_ARGUMENT, "bad"), "InvalidArgument"),
        (ValueError("a defect"), "Unknown"),
        (asyncio.CancelledError(), "Canceled"),
    ],
)
def test_how_a_call_ends_is_its_status(error: BaseException | None, status: str) -> None:
    metrics = Recorded()

    def call() -> None:
        with measured(metrics, ("ca", "sign"), (("kind", "x509"),)):
            if error is not None:
                raise error

    if error is None:
        call()
    else:
        with pytest.raises(type(error)):
            call()
    count, sample = metrics.taken
    labels = {"kind": "x509", "status": status}
    assert count == ("count", "ca.sign", labels, 1)
    assert sample[:3] == ("sample", "ca.sign.elapsed_time", labels)
    assert sample[3] >= 0


def test_nothing_is_kept_when_telemetry_is_off() -> None:
    with measured(OFF, ("ca", "sign")):
        OFF.gauge(("size",), 1)
    assert not vars(OFF)
