"""Batches in which items are refused alone: a refusal takes its item's place and passes through what follows."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from assay.errors import AssayError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def each(work: Callable[[ItemT], ResultT], items: Iterable[ItemT | AssayError]) -> list[ResultT | AssayError]:
    """What `work` makes of each item, or why it refuses it; in order.

    Step after step for a few items rather than item after item: a step that repeats finds itself in the processor's
    caches, which for signatures is a third of the time.
    """
    results: list[ResultT | AssayError] = []
    for item in items:
        if isinstance(item, AssayError):
            results.append(item)
            continue
        try:
            results.append(work(item))
        except AssayError as error:
            results.append(error.with_traceback(None))  # which would hold this list, and so itself
    return results
