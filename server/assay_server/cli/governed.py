"""What the groups of governed identities share: asking, words that are lists, times."""

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import typer

from assay.cli.admin import connect, run
from assay.cli.output import go_time
from assay.rpc.client import Channel

LABEL_WIDTH = 18
PAGE = 100

T = TypeVar("T")
S = TypeVar("S")


def ask(socket_path: Path, stub: Callable[[Channel], S], call: Callable[[S], Awaitable[T]]) -> T:
    """The server's answer; its refusal is raised."""

    async def asked() -> T:
        async with connect(socket_path) as channel:
            return await call(stub(channel))

    return run(asked())


def listed(texts: Iterable[str] | None) -> list[str]:
    """What was given more than once, or with commas between."""
    return [one.strip() for text in texts or () for one in text.split(",") if one.strip()]


def moment(seconds: int, never: str = "never") -> str:
    """A time, or that there is none."""
    return go_time(seconds) if seconds else never


def extended(into: Any, page: Any, field: str) -> bool:  # noqa: ANN401 - listings of many types
    """Whether there is another page after this one, whose messages are now in `into`, too."""
    getattr(into, field).extend(getattr(page, field))
    into.next_page_token = page.next_page_token
    return bool(page.next_page_token)


def named_fields(given: dict[str, object]) -> list[str]:
    """The fields that an update is to take over: those that were given.

    Raises:
        typer.BadParameter: there is none.
    """
    fields = [name for name, value in given.items() if value is not None]
    if not fields:
        raise typer.BadParameter("say what to change", param_hint="update")
    return fields
