"""What keeps a daemon's start short."""

import dataclasses
import importlib
import sys
from collections.abc import Callable
from typing import Any, cast

# Where dataclasses compile each of up to six methods by itself; from 3.13 on it is one compilation for all of a class.
COMPILES_EACH = sys.version_info < (3, 13)


def defer_methods() -> None:
    """Have dataclasses defined from now on compile what compares, prints, hashes and guards them when first used.

    Two hundred classes are defined before a daemon answers, and few of them compared. Their `__init__` is compiled at
    once: it is called, and libraries read its signature.
    """
    create = getattr(dataclasses, "_create_fn", None)
    if COMPILES_EACH and create is not None and create.__module__ == dataclasses.__name__:
        cast("Any", dataclasses)._create_fn = _deferring(create)  # noqa: SLF001 - dataclasses have no setting for it


def load_structlog() -> None:
    """Load structlog without rich, which it would take for tracebacks in colour: a twentieth of a second for nothing.

    An import of a module that is None in `sys.modules` fails as if it were not installed, and structlog is ready for
    that. Afterwards rich can be loaded as ever.
    """
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    modules = cast("dict[str, Any]", sys.modules)
    modules["rich"] = None
    try:
        importlib.import_module("structlog")
    finally:
        del modules["rich"]


def _deferring(create: Callable[..., Callable[..., Any]]) -> Callable[..., Callable[..., Any]]:
    def create_later(name: str, *source: Any, **context: Any) -> Callable[..., Any]:  # noqa: ANN401 - passed on
        if name == "__init__":
            return create(name, *source, **context)
        made: Callable[..., Any] | None = None

        def method(self: object, *values: object) -> object:
            nonlocal made
            if made is None:
                made = create(name, *source, **context)
                made.__qualname__ = method.__qualname__
                _take_place(type(self), name, method, made)
            return made(self, *values)

        method.__name__ = name
        return method

    return create_later


def _take_place(kind: type, name: str, former: object, made: object) -> None:
    """Put the compiled method where the other one was: in the class itself, or in the one that it inherits from."""
    for one in kind.__mro__:
        if vars(one).get(name) is former:
            setattr(one, name, made)
