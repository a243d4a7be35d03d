"""One plugin's section of a configuration file, checked for shape; its own keys are the plugin's to check."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin that is switched on: its name, such as `x509pop`, and its `plugin_data`.

    The data may hold secrets, so it is left out of `repr`.
    """

    name: str
    data: Mapping[str, object] = field(default_factory=dict[str, object], repr=False)
