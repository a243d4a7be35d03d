"""The buffer of reports: numbered, bounded, kept until it is known that they are written down."""

import threading

from assay.tasktoken.report import Report, ReportBuffer, ReportKind, parameters_digest


def used(number: int) -> Report:
    return Report(ReportKind.TOOL_USE, number, f"crd_{number}", "tsk_1", "spiffe://example.org/x", "a", "read")


def filled(count: int, limit: int = 10) -> ReportBuffer:
    buffer = ReportBuffer(limit=limit)
    for number in range(1, count + 1):
        buffer.add(used(number))
    return buffer


def numbers(buffer: ReportBuffer, most: int = 100) -> list[int]:
    batch = buffer.next(most)
    if batch is None:
        return []
    assert [one.at for one in batch.reports] == list(range(batch.first, batch.last + 1))
    return list(range(batch.first, batch.last + 1))


def test_they_are_numbered_from_one_and_sent_once() -> None:
    buffer = filled(5)
    assert numbers(buffer, 3) == [1, 2, 3]
    assert numbers(buffer) == [4, 5]
    assert numbers(buffer) == []
    assert (buffer.in_flight, buffer.kept) == (5, 5)


def test_what_is_taken_is_forgotten_and_the_rest_is_sent_again() -> None:
    buffer = filled(5)
    assert numbers(buffer) == [1, 2, 3, 4, 5]
    buffer.taken(3)
    assert buffer.kept == 2
    buffer.again()
    assert numbers(buffer) == [4, 5]


def test_when_it_is_full_the_oldest_go_and_the_numbers_go_on() -> None:
    buffer = filled(5, limit=2)
    assert numbers(buffer) == [4, 5]
    buffer.add(used(6))
    assert numbers(buffer) == [6]
    buffer.taken(4)
    assert buffer.kept == 2


def test_nobody_takes_what_was_not_sent() -> None:
    buffer = filled(5)
    numbers(buffer, 2)
    buffer.taken(5)
    assert buffer.kept == 3
    assert numbers(buffer) == [3, 4, 5]


def test_each_memory_has_a_name_of_its_own() -> None:
    assert ReportBuffer().reporter != ReportBuffer().reporter


def test_many_threads_lose_none() -> None:
    buffer = ReportBuffer(limit=10_000)

    def work() -> None:
        for _ in range(500):
            buffer.add(used(0))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    batch = buffer.next(10_000)
    assert batch is not None
    assert batch.last == 2000


def test_parameters_are_told_by_their_digest_whatever_order_they_stand_in() -> None:
    """RFC 8785; SHA-256 of {"a":1,"b":[true,null]} by coreutils."""
    assert parameters_digest({"b": [True, None], "a": 1}) == parameters_digest({"a": 1, "b": [True, None]})
    assert parameters_digest({"a": 1, "b": [True, None]}).startswith("sha-256:")
    assert parameters_digest({}) == "sha-256:RBNvo1WzZ4oRRq0W9-hknpT7T8If536DEMBg9hyq_4o"
