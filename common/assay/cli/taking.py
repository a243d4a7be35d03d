"""Flags that several commands share, as a dataclass. Imports little: most commands read no configuration."""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, TypeVar, get_type_hints

F = TypeVar("F", bound="Flags")


@dataclass(frozen=True, kw_only=True)
class Flags:
    """What a command takes; a field's name is its flag's."""


def taking(kind: type[F]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a command that takes a `kind` first into one with its fields as options, for typer to read."""
    hints = get_type_hints(kind, include_extras=True)
    options = [
        Parameter(one.name, Parameter.KEYWORD_ONLY, default=_default(one.default), annotation=hints[one.name])
        for one in fields(kind)
    ]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(signature(command, eval_str=True).parameters.values())[1:]

        @wraps(command)
        def wrapper(**given: Any) -> None:  # noqa: ANN401 - typer has checked them
            flags = kind(**{one.name: given.pop(one.name) for one in fields(kind)})
            command(flags, **given)

        parameters = [*options, *own]
        wrapper.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {one.name: one.annotation for one in parameters}
        return wrapper

    return decorate


def _default(value: object) -> object:
    return Parameter.empty if value is MISSING else value
