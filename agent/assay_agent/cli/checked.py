"""A configuration looked at more closely than to start with it: plugins see their own settings when they are made."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from assay.clock import SystemClock
from assay.config.check import Override
from assay.config.document import Document
from assay.config.fault import ConfigError, Fault
from assay.config.plugin import Plugin
from assay.config.telemetry import telemetry_faults
from assay.errors import AssayError
from assay.plugin.external import Host
from assay_agent.config.load import LoadedAgent, load
from assay_agent.config.settings import AgentConfig


def load_checked(document: Document, overrides: Sequence[Override] = ()) -> LoadedAgent:
    """As `load`, and with the plugins' own settings and the files that telemetry needs seen through.

    Raises:
        ConfigError: with every fault.
    """
    loaded = load(document, overrides)
    config = loaded.config
    host = Host(config.trust_domain, SystemClock(), config.data_dir)
    faults = [fault for kind, plugin, make in _plugins(config, host) if (fault := _fault(document, kind, plugin, make))]
    faults += telemetry_faults(document, config.telemetry)
    if faults:
        raise ConfigError(faults)
    return loaded


def _plugins(config: AgentConfig, host: Host) -> Iterator[tuple[str, Plugin, Callable[[], object]]]:
    """Those that touch nothing while they are made; key managers read their keys."""
    from assay_agent.plugins import builtin  # noqa: PLC0415 - not loaded to `run`, which makes them later

    token, file = config.join_token, config.join_token_file
    yield "NodeAttestor", config.node_attestor, lambda: builtin.node_attestor(config.node_attestor, token, file, host)
    for plugin in config.workload_attestors:
        yield "WorkloadAttestor", plugin, partial(builtin.workload_attestor, plugin, host)
    for plugin in config.svid_stores:
        yield "SVIDStore", plugin, partial(builtin.svid_store, plugin, host)


def _fault(document: Document, kind: str, plugin: Plugin, make: Callable[[], object]) -> Fault | None:
    try:
        make()
    except AssayError as error:
        return document.fault(("plugins", kind, plugin.name, "plugin_data"), error.message)
    return None
