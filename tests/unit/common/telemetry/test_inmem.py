from assay.telemetry.inmem import InMemorySink


def test_everything_since_the_start_a_line_each() -> None:
    sink = InMemorySink()
    add = sink.counter(("s", "calls"), (("status", "OK"), ("host", "a b")))
    add(1)
    add(2)
    sink.gauge(("s", "size"), ())(3)
    sink.gauge(("s", "size"), ())(4)
    measure = sink.summary(("s", "time"), ())
    measure(1.5)
    measure(0.5)
    assert list(sink.lines()) == [
        "[G] 's.size': 4.000",
        "[C] 's.calls.OK.a_b': Count: 2 Sum: 3.000 Min: 1.000 Mean: 1.500 Max: 2.000",
        "[S] 's.time': Count: 2 Sum: 2.000 Min: 0.500 Mean: 1.000 Max: 1.500",
    ]
