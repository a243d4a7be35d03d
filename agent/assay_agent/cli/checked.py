"""A configuration looked at more closely than to start with it: plugins see their own settings when they are made."""

from collections.abc import Sequence

from assay.config.check import Override
from assay.config.document import Document
from assay.config.fault import ConfigError
from assay.config.telemetry import telemetry_faults
from assay.errors import InvalidArgumentError
from assay_agent.config.load import LoadedAgent, load


def load_checked(document: Document, overrides: Sequence[Override] = ()) -> LoadedAgent:
    """As `load`, and with the node attestor's own settings and the files that telemetry needs seen through.

    Raises:
        ConfigError: with every fault.
    """
    from assay_agent.plugins.builtin import node_attestor  # noqa: PLC0415 - not loaded to `run`, which makes it later

    loaded = load(document, overrides)
    plugin, token_file = loaded.config.node_attestor, loaded.config.join_token_file
    try:
        node_attestor(plugin, loaded.config.join_token, token_file)
    except InvalidArgumentError as error:
        place = ("plugins", "NodeAttestor", plugin.name, "plugin_data")
        raise ConfigError([document.fault(place, error.message)]) from None
    if faults := list(telemetry_faults(document, loaded.config.telemetry)):
        raise ConfigError(faults)
    return loaded
