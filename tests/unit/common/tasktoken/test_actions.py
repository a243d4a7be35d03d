"""Which action a request is."""

import pytest

from assay.errors import InvalidArgumentError
from assay.tasktoken.actions import Routes

ROUTES = Routes({"GET /a": "a.read", "/a": "a.any", "/a/{id}": "a.one", "POST /a/{id}/b.c/{other}": "a.deep"})


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "/a", "a.read"),
        ("POST", "/a", "a.any"),
        ("GET", "/a/7", "a.one"),
        ("POST", "/a/7/b.c/8", "a.deep"),
        ("GET", "/a/7/b.c/8", None),
        ("POST", "/a/7/bxc/8", None),
        ("GET", "/a/", None),
        ("GET", "/a/7/8", None),
        ("GET", "/a/7\n", "a.one"),
        ("GET", "/b", None),
        ("GET", "", None),
        ("GET /a", "", None),
    ],
)
def test_a_route_is_compared_whole(method: str, path: str, action: str | None) -> None:
    assert ROUTES.action(method, path) == action


def test_a_function_may_say_it_and_nothing_is_no_action() -> None:
    routes = Routes(lambda method, path: path.removeprefix("/tools/") if method == "POST" else "")
    assert routes.action("POST", "/tools/crm.read") == "crm.read"
    assert routes.action("GET", "/tools/crm.read") is None


@pytest.mark.parametrize("route", ["a", "GET a", "", "GET "])
def test_what_is_no_path_is_a_mistake(route: str) -> None:
    with pytest.raises(InvalidArgumentError):
        Routes({route: "a.read"})
