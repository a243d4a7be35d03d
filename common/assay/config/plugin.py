"""The `plugins` section: which plugins are on, with what data.

It reads alike as blocks (`NodeAttestor "x509pop" { }`), as nested objects and as JSON lists of objects.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from assay.config.document import Document, KeyPath, is_list, is_section
from assay.config.fault import ConfigError, Fault
from assay.config.sections import joined
from assay.config.source import read
from assay.config.unknown import unknown_reason
from assay.errors import InvalidArgumentError
from assay.plugin.external import installed

_KEYS = ("enabled", "plugin_args", "plugin_checksum", "plugin_cmd", "plugin_data", "plugin_data_file")

# Both daemons' node attestors that SPIRE has and Assay does not have yet.
SPIRE_NODE_ATTESTORS = (
    "aws_iid", "azure_imds", "azure_msi", "gcp_iit", "http_challenge", "k8s_psat", "k8s_sat", "sshpop", "tpm_devid",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin that is switched on: its name, such as `x509pop`, and its `plugin_data`.

    The data may hold secrets, so it is left out of `repr`.
    """

    name: str
    data: Mapping[str, object] = field(default_factory=dict[str, object], repr=False)


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A plugin that is here: the keys it reads, and SPIRE's others.

    Those `idle` tune what works otherwise here; those `not_built` come with the values that ask for nothing.
    """

    keys: frozenset[str] = frozenset()
    idle: frozenset[str] = frozenset()
    not_built: Mapping[str, tuple[object, ...]] = field(default_factory=dict[str, tuple[object, ...]])


EXTERNAL = BuiltIn()
"""Stands for any plugin of another package."""

# By type and name; None stands for a plugin that SPIRE has and Assay does not have yet.
Catalog: TypeAlias = Mapping[str, Mapping[str, BuiltIn | None]]


@dataclass(slots=True)
class PluginReader:
    """Reads one document's plugins against a catalog and collects faults and warnings.

    Of `daemon`, whose other packages' plugins count too; they check their data themselves, when they are made.
    """

    document: Document
    catalog: Catalog
    daemon: str = ""
    faults: list[Fault] = field(default_factory=list[Fault])
    warnings: list[Fault] = field(default_factory=list[Fault])

    def read(self) -> dict[str, tuple[Plugin, ...]]:
        """The plugins that are on, by type, in the file's order."""
        found: dict[str, list[Plugin]] = {kind: [] for kind in self.catalog}
        plugins = self.document.data.get("plugins", {})
        if not is_section(plugins) and not is_list(plugins):
            self._fault(("plugins",), "is a section: plugins stand in braces after it")
        for kind, of_kind in _items(plugins):
            path: KeyPath = ("plugins", kind)
            if kind not in self.catalog:
                self._fault(path, unknown_reason(kind, self.catalog, "plugin type"))
                continue
            for name, section in _items(of_kind):
                if any(name == other.name for other in found[kind]):
                    self._fault((*path, name), "is declared more than once")
                elif (plugin := self._plugin((*path, name), name, section)) is not None:
                    found[kind].append(plugin)
        return {kind: tuple(plugins) for kind, plugins in found.items()}

    def _plugin(self, path: KeyPath, name: str, value: object) -> Plugin | None:
        section = joined(value)
        if section is None:
            self._fault(path, "is declared more than once" if is_list(value) else "is not a section")
            return None
        if section.get("enabled") in (False, "false"):
            return None
        for key in section.keys() - set(_KEYS):
            self._fault((*path, key), unknown_reason(key, _KEYS))
        built_in = self._built_in(path, name, section)
        data = self._data(path, section)
        if built_in is None or data is None:
            return None
        if built_in is not EXTERNAL:
            self._check_keys((*path, "plugin_data"), data, built_in)
        return Plugin(name, data)

    def _built_in(self, path: KeyPath, name: str, section: Mapping[str, object]) -> BuiltIn | None:
        if section.get("plugin_cmd"):
            self._fault((*path, "plugin_cmd"), "external plugins are not built yet")
            return None
        known = self.catalog[str(path[1])]
        if known.get(name) is not None:
            return known[name]
        try:
            external = installed(self.daemon, str(path[1]))
        except InvalidArgumentError as error:
            self._fault(path, str(error))
            return None
        if name in external:
            return EXTERNAL
        if name not in known:
            self._fault(path, unknown_reason(name, {*known, *external}, "plugin"))
        else:
            there = ", ".join(sorted(other for other, built_in in known.items() if built_in)) or "none of this type"
            self._fault(path, f"is a plugin of SPIRE's that is not built yet; here: {there}")
        return None

    def _data(self, path: KeyPath, section: Mapping[str, object]) -> dict[str, object] | None:
        file = section.get("plugin_data_file")
        if file is None:
            data = joined(section.get("plugin_data"))
            if data is None:
                self._fault((*path, "plugin_data"), "is not a section")
            return data
        if "plugin_data" in section:
            self._fault((*path, "plugin_data_file"), "only one of plugin_data and plugin_data_file can be used")
            return None
        try:
            document = read(Path(str(file)))
        except ConfigError as error:
            self.faults += error.faults
            return None
        self.faults += document.faults
        return document.data

    def _check_keys(self, path: KeyPath, data: Mapping[str, object], built_in: BuiltIn) -> None:
        for key, value in data.items():
            if key in built_in.keys:
                continue
            if key in built_in.idle:
                self.warnings.append(self.document.fault((*path, key), "has no effect here"))
            elif key not in built_in.not_built:
                known = built_in.keys | built_in.idle | built_in.not_built.keys()
                self._fault((*path, key), unknown_reason(key, known))
            elif value not in built_in.not_built[key]:
                self._fault((*path, key), "is a key of SPIRE's plugin that is not built yet")

    def _fault(self, path: KeyPath, reason: str) -> None:
        self.faults.append(self.document.fault(path, reason))


def _items(value: object) -> Iterator[tuple[str, object]]:
    """Key and value of a section, or of each section in a list."""
    for part in value if is_list(value) else [value]:
        if is_section(part):
            yield from part.items()
