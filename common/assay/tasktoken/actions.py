"""Which action a request is: what a policy service says of its own routes."""

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from assay.errors import InvalidArgumentError

Actions: TypeAlias = Mapping[str, str] | Callable[[str, str], str | None]
"""Action by route, `POST /tickets/{id}` or for every method `/tickets/{id}`; or a function of method and path.

Routes are compared whole, `{name}` standing for one segment. What has no action is refused.
"""

_NAME = re.compile(r"\{[a-zA-Z_][a-zA-Z0-9_]*\}")


class Routes:
    """Finds the action of a request.

    Raises:
        InvalidArgumentError: a route is no path, or has no action.
    """

    def __init__(self, actions: Actions) -> None:
        self._ask = actions if callable(actions) else None
        self._exact: dict[str, str] = {}
        self._shaped: list[tuple[str, re.Pattern[str], str]] = []
        for route, action in () if callable(actions) else actions.items():
            self._add(route, action)

    def action(self, method: str, path: str) -> str | None:
        """Its action; None for a request that has none."""
        if self._ask is not None:
            return self._ask(method, path) or None
        found = self._exact.get(f"{method} {path}") or self._exact.get(path)
        return found or next(
            (action for only, shape, action in self._shaped if only in {"", method} and shape.fullmatch(path)), None
        )

    def _add(self, route: str, action: str) -> None:
        method, _, path = route.rpartition(" ")
        if not path.startswith("/") or not action:
            raise InvalidArgumentError(f'"{route}" is no route with an action', hint='write it as "POST /tickets"')
        if _NAME.search(path) is None:
            self._exact[route] = action
            return
        shape = "[^/]+".join(map(re.escape, _NAME.split(path)))
        self._shaped.append((method, re.compile(shape), action))
