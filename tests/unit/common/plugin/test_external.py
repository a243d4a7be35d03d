"""Plugins by entry point."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.plugin.external import Host, installed, make
from assay.plugin.workloadattestor import WorkloadAttestor
from assay.spiffeid import TrustDomain
from assay.testing.clock import FakeClock
from assay.testing.distribution import install

GROUP = "assay.agent.WorkloadAttestor"
MODULE = """
from assay.errors import InvalidArgumentError

class Good:
    name = "good"
    def __init__(self, data, host):
        self.data, self.host = data, host
    async def attest(self, pid):
        return ()

class Lacking:
    name = "lacking"
    def __init__(self, data, host): ...

def failing(data, host):
    raise KeyError("forgotten")

def refusing(data, host):
    raise InvalidArgumentError("no", hint="yes")
"""

Install = Callable[..., None]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package with those plugins."""

    def added(name: str, plugins: Mapping[str, str], group: str = GROUP) -> None:
        folder = tmp_path / name
        points = {plugin: f"{name}:{what}" for plugin, what in plugins.items()}
        install(folder, name, MODULE, {group: points})
        monkeypatch.syspath_prepend(folder)

    return added


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(TrustDomain("example.org"), FakeClock(), tmp_path)


def made(name: str, host: Host) -> object:
    return make("agent", "WorkloadAttestor", name, {"key": 1}, host, WorkloadAttestor)


def test_a_plugin_is_made_with_its_data_and_the_host(add: Install, host: Host) -> None:
    add("one_a", {"good": "Good"})
    plugin = made("good", host)
    assert isinstance(plugin, WorkloadAttestor)
    assert vars(plugin) == {"data": {"key": 1}, "host": host}


def test_nothing_is_imported_to_know_what_there_is(add: Install) -> None:
    add("one_b", {"good": "Good", "broken": "nonesuch"})
    assert {"good", "broken"} <= installed("agent", "WorkloadAttestor").keys()


def test_other_daemons_and_types_are_not_meant(add: Install) -> None:
    add("one_c", {"mine": "Good"}, group="assay.agent.DataStore")
    assert installed("agent", "DataStore") == {}
    assert "mine" not in installed("server", "NodeAttestor")


@pytest.mark.parametrize(
    ("what", "error", "why"),
    [
        ("Lacking", FailedPreconditionError, r'"bad" of one_\w+ 1.0 is no WorkloadAttestor: it has no attest'),
        ("failing", FailedPreconditionError, "cannot be made: KeyError: 'forgotten'"),
        ("nonesuch", FailedPreconditionError, "cannot be loaded: AttributeError"),
        ("refusing", InvalidArgumentError, r'WorkloadAttestor "bad" of one_\w+ 1.0: no; yes'),
    ],
)
def test_whatever_is_wrong_names_the_plugin_and_its_package(
    add: Install, host: Host, what: str, error: type[Exception], why: str
) -> None:
    add(f"one_{what.lower()}", {"bad": what})
    with pytest.raises(error, match=why):
        made("bad", host)


def test_a_module_that_cannot_be_imported(tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "broken", "broken_one", "import nonesuch_module", {GROUP: {"bad": "broken_one:X"}})
    monkeypatch.syspath_prepend(tmp_path / "broken")
    with pytest.raises(FailedPreconditionError, match="cannot be loaded: ModuleNotFoundError"):
        made("bad", host)


def test_there_is_none_of_that_name(host: Host) -> None:
    with pytest.raises(InvalidArgumentError, match='no WorkloadAttestor plugin "nonesuch"'):
        made("nonesuch", host)


def test_two_packages_with_one_name_are_refused(add: Install, host: Host) -> None:
    add("first_x", {"good": "Good"})
    add("second_x", {"good": "Good"})
    with pytest.raises(InvalidArgumentError, match=r"in two packages: .*; uninstall one of them"):
        made("good", host)
