import math

from assay.telemetry.window import AGE, SIZE, Window


def test_old_samples_count_and_have_no_quantile() -> None:
    window = Window()
    window.add(1, 0)
    window.add(9, 5)
    assert window.quantiles((0.0, 0.5, 1.0), 5) == [1, 1, 9]
    assert window.quantiles((0.5,), 5 + AGE) == [9]
    assert math.isnan(window.quantiles((0.5,), 6 + AGE)[0])
    assert (window.count, window.total) == (2, 10)


def test_a_flood_keeps_the_last_ones() -> None:
    window = Window()
    for value in range(SIZE + 10):
        window.add(value, 0)
    assert window.quantiles((0.0,), 0) == [10]
    assert window.count == SIZE + 10
