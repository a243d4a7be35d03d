"""Plugins of other packages, by entry point. Only one that the configuration names is ever imported.

The groups are named after the daemon and the type in `plugins { }`, such as `assay.agent.WorkloadAttestor`; the entry
point's name is the plugin's. What it names is called with `plugin_data` and the `Host` and returns the plugin.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from assay.clock import Clock
from assay.errors import AssayError, FailedPreconditionError, InvalidArgumentError, prefixed
from assay.spiffeid import TrustDomain

# The types that other packages may add to, by daemon.
SEAMS: Mapping[str, frozenset[str]] = MappingProxyType({
    "agent": frozenset({"KeyManager", "NodeAttestor", "SVIDStore", "WorkloadAttestor"}),
    "server": frozenset({"KeyManager", "NodeAttestor"}),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Host:
    """What a daemon lends its plugins. `data_dir` outlives the process; a plugin's files there carry its name."""

    trust_domain: TrustDomain
    clock: Clock
    data_dir: Path


class Factory(Protocol):
    """What an entry point names: a class, or a function."""

    def __call__(self, data: Mapping[str, object], host: Host, /) -> object:
        """The plugin; raises InvalidArgumentError when a setting is wrong or unknown."""
        ...


def installed(daemon: str, kind: str) -> Mapping[str, EntryPoint]:
    """The plugins of that type that other packages bring, by name.

    Raises:
        InvalidArgumentError: two packages bring one of the same name.
    """
    if kind not in SEAMS.get(daemon, ()):
        return {}
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"assay.{daemon}.{kind}"):
        other = found.setdefault(point.name, point)
        if other.value != point.value or _package(other) != _package(point):
            raise InvalidArgumentError(
                f'{kind} "{point.name}" is in two packages: {_package(other)} and {_package(point)}',
                hint="uninstall one of them",
            )
    return found


def make(daemon: str, kind: str, name: str, data: Mapping[str, object], host: Host, protocol: type) -> object:
    """The plugin, which has all that `protocol` has.

    Raises:
        InvalidArgumentError: there is none of that name, or it refuses its data.
        FailedPreconditionError: it cannot be imported or made, or is no such plugin.
    """
    point = installed(daemon, kind).get(name)
    if point is None:
        raise InvalidArgumentError(f'no {kind} plugin "{name}", built in or installed')
    what = f'{kind} "{name}" of {_package(point)}'
    made = _made(what, _loaded(what, point), data, host)
    lacking = [one for one in vars(protocol) if not one.startswith("_") and not hasattr(made, one)]
    if lacking:
        raise FailedPreconditionError(f"{what} is no {kind}: it has no {', '.join(lacking)}")
    return made


def _loaded(what: str, point: EntryPoint) -> Factory:
    try:
        factory: Factory = point.load()
    except Exception as error:
        raise FailedPreconditionError(f"{what} cannot be loaded: {type(error).__name__}: {error}") from error
    return factory


def _made(what: str, factory: Factory, data: Mapping[str, object], host: Host) -> object:
    try:
        with prefixed(what):
            return factory(data, host)
    except AssayError:
        raise
    except Exception as error:
        raise FailedPreconditionError(f"{what} cannot be made: {type(error).__name__}: {error}") from error


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an unknown package"
