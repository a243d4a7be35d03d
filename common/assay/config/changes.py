"""What is different between the configuration that a daemon runs with and the one that its file has now."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, TypeVar, cast

from assay.config.logging import LogSettings

LEVEL = "log_level"

# Settings that are not named as their keys are.
_KEYS = {
    "datastore_path": "plugins.DataStore", "health": "health_checks", "key_manager": "plugins.KeyManager",
    "node_attestor": "plugins.NodeAttestor", "node_attestors": "plugins.NodeAttestor",
    "method_rates": "experimental.ratelimit", "rates": "ratelimit", "workload_api": "disable_workload_api",
    "svid_stores": "plugins.SVIDStore",
    "workload_attestors": "plugins.WorkloadAttestor",
}  # fmt: skip


class Configured(Protocol):
    """A daemon's configuration, a frozen dataclass."""

    @property
    def log(self) -> LogSettings:
        """How it logs."""
        ...


C = TypeVar("C", bound=Configured)


@dataclass(frozen=True, slots=True)
class Changes:
    """Keys whose values differ: those that take effect in a running daemon, and those that need a restart."""

    live: tuple[str, ...]
    restart: tuple[str, ...]


def compare(old: C, new: C, live: Collection[str]) -> Changes:
    """The differences; `live` names the fields that take effect at once, as the level of the log always does."""
    different = [name for name, before, after in _pairs(old, new) if before != after]
    at_once = {*live, LEVEL}
    return Changes(
        live=tuple(_KEYS.get(name, name) for name in different if name in at_once),
        restart=tuple(_KEYS.get(name, name) for name in different if name not in at_once),
    )


def in_effect(old: C, new: C, live: Collection[str]) -> C:
    """What a daemon runs with that began with `old` and took what is live of `new`."""
    taken: dict[str, Any] = {name: getattr(new, name) for name in live}
    log = replace(old.log, level=new.log.level)
    return cast("C", replace(cast("Any", old), **taken, log=log))


def _pairs(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, object, object]]:  # noqa: ANN401 - any dataclass
    for one in fields(old):
        before, after = getattr(old, one.name), getattr(new, one.name)
        if isinstance(before, LogSettings):
            yield from _pairs(before, after, "log_")
        else:
            yield prefix + one.name, before, after
