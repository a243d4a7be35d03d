"""The text that Prometheus reads: names and types as SPIRE's, read back by the library's parser."""

from prometheus_client.parser import text_string_to_metric_families

from assay.telemetry.prometheus import PrometheusSink
from assay.telemetry.window import AGE

STATUS = (("status", "OK"), ("host", "h"))


class Now:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def lines(sink: PrometheusSink) -> list[str]:
    return [line for line in sink.render().decode().splitlines() if "spire_server" in line]


def test_counters_have_spires_names_without_total() -> None:
    sink = PrometheusSink()
    add = sink.counter(("spire_server", "rpc", "entry.v1", "get-entry"), STATUS)
    add(1)
    add(2)
    name = "spire_server_rpc_entry_v1_get_entry"
    assert lines(sink) == [
        f"# HELP {name} {name}",
        f"# TYPE {name} counter",
        f'{name}{{host="h",status="OK"}} 3.0',
    ]


def test_series_of_one_name_are_one_family() -> None:
    sink = PrometheusSink()
    sink.gauge(("spire_server", "size"), ())(1)
    sink.gauge(("spire_server", "size"), (("of", 'a"b\\c\nd'),))(2)
    sink.gauge(("spire_server", "size"), ())(5)
    assert lines(sink)[2:] == ["spire_server_size 5.0", r'spire_server_size{of="a\"b\\c\nd"} 2.0']


def test_samples_are_summaries_of_the_last_seconds() -> None:
    now = Now()
    sink = PrometheusSink(now)
    add = sink.summary(("spire_server", "time"), STATUS)
    for value in range(1, 101):
        add(value)
    assert lines(sink)[2:] == [
        'spire_server_time{host="h",quantile="0.5",status="OK"} 50.0',
        'spire_server_time{host="h",quantile="0.9",status="OK"} 90.0',
        'spire_server_time{host="h",quantile="0.99",status="OK"} 99.0',
        'spire_server_time_sum{host="h",status="OK"} 5050.0',
        'spire_server_time_count{host="h",status="OK"} 100.0',
    ]
    now.seconds += AGE + 1
    assert lines(sink)[2] == 'spire_server_time{host="h",quantile="0.5",status="OK"} NaN'
    assert lines(sink)[6].endswith(" 100.0")


def test_the_whole_can_be_parsed_and_tells_of_the_process() -> None:
    sink = PrometheusSink()
    sink.counter(("spire_server", "a"), STATUS)(1)
    sink.summary(("spire_server", "b"), (("quantile", "mine"), *STATUS))(1)
    families = {family.name: family.type for family in text_string_to_metric_families(sink.render().decode())}
    assert families["spire_server_a"] == "counter"
    assert families["spire_server_b"] == "summary"
    assert "process_resident_memory_bytes" in families
