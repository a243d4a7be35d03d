"""A configuration looked at more closely than to start with it: plugins see their own settings when they are made."""

from collections.abc import Iterator, Sequence

from assay.clock import SystemClock
from assay.config.check import Override
from assay.config.document import Document
from assay.config.fault import ConfigError, Fault
from assay.config.telemetry import telemetry_faults
from assay.errors import AssayError
from assay.plugin.external import Host
from assay_server.config.load import LoadedServer, load


def load_checked(document: Document, overrides: Sequence[Override] = ()) -> LoadedServer:
    """As `load`, and with the node attestors' own settings and the files that telemetry needs seen through.

    Raises:
        ConfigError: with every fault.
    """
    loaded = load(document, overrides)
    if faults := list(_faults(document, loaded)):
        raise ConfigError(faults)
    return loaded


def _faults(document: Document, loaded: LoadedServer) -> Iterator[Fault]:
    from assay_server.plugins.builtin import check  # noqa: PLC0415 - not loaded to `run`, which makes plugins later

    host = Host(loaded.config.trust_domain, SystemClock(), loaded.config.data_dir)
    for plugin in loaded.config.node_attestors:
        try:
            check(plugin, host)
        except AssayError as error:
            yield document.fault(("plugins", "NodeAttestor", plugin.name, "plugin_data"), error.message)
    yield from telemetry_faults(document, loaded.config.telemetry)
