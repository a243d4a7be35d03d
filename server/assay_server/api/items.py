"""Batches at the edge: items that do not parse are answered beside those that the service answers."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from assay.errors import AssayError

M = TypeVar("M")
V = TypeVar("V")
R = TypeVar("R")


async def answer_each(
    messages: Iterable[M],
    parse: Callable[[M], V],
    service: Callable[[Sequence[V]], Awaitable[list[R | AssayError]]],
) -> list[R | AssayError]:
    """What `service` answers for what `parse` makes of each message, or why that refused it; in order."""
    parsed = [_parsed(message, parse) for message in messages]
    answers = iter(await service([each for each in parsed if not isinstance(each, AssayError)]))
    return [each if isinstance(each, AssayError) else next(answers) for each in parsed]


def _parsed(message: M, parse: Callable[[M], V]) -> V | AssayError:
    try:
        return parse(message)
    except AssayError as error:
        return error
