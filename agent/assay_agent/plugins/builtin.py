"""Plugins by the names configurations use: the agent's own, then other packages'; imported when they are named."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from assay.config.plugin import Plugin
from assay.files import make_data_folder
from assay.keymanager.base import KeyManager
from assay.plugin import external
from assay.plugin.external import Host
from assay.plugin.nodeattestor import AgentNodeAttestor
from assay.plugin.svidstore import SvidStore
from assay.plugin.workloadattestor import WorkloadAttestor


def key_manager(plugin: Plugin, host: Host) -> KeyManager:
    """`disk`, whose folder is made if need be, or `memory`, or another package's.

    Raises:
        AssayError: unknown, its folder cannot be made, or its file is damaged.
    """
    match plugin.name:
        case "disk":
            from assay.keymanager.disk import DiskKeyManager  # noqa: PLC0415 - see above

            folder = Path(str(plugin.data["directory"]))
            make_data_folder(folder, "directory")
            return DiskKeyManager(folder / "keys.json")
        case "memory":
            from assay.keymanager.memory import MemoryKeyManager  # noqa: PLC0415 - see above

            return MemoryKeyManager()
        case name:
            return cast("KeyManager", external.make("agent", "KeyManager", name, plugin.data, host, KeyManager))


def node_attestor(plugin: Plugin, token: str, token_file: Path | None, host: Host) -> AgentNodeAttestor:
    """The one that is configured; join_token if there is a token, whatever is configured, as in SPIRE.

    Raises:
        AssayError: unknown or misconfigured.
    """
    match "join_token" if token or token_file else plugin.name:
        case "join_token":
            from assay_agent.plugins.nodeattestor_join_token import JoinTokenAttestor  # noqa: PLC0415 - see above

            return JoinTokenAttestor(token, token_file)
        case "x509pop":
            from assay_agent.plugins import nodeattestor_x509pop  # noqa: PLC0415 - see above

            return nodeattestor_x509pop.configure(plugin.data)
        case name:
            made = external.make("agent", "NodeAttestor", name, plugin.data, host, AgentNodeAttestor)
            return cast("AgentNodeAttestor", made)


def workload_attestor(plugin: Plugin, host: Host) -> WorkloadAttestor:
    """One of those that are configured.

    Raises:
        AssayError: unknown or misconfigured.
    """
    match plugin.name:
        case "unix":
            from assay_agent.plugins.workloadattestor_unix import UnixAttestor  # noqa: PLC0415 - see above

            options = cast("Mapping[str, int]", plugin.data)
            return UnixAttestor(
                host.clock,
                discover_workload_path=bool(options.get("discover_workload_path", False)),
                workload_size_limit=int(options.get("workload_size_limit", 0)),
            )
        case "systemd":
            from assay_agent.plugins.workloadattestor_systemd import SystemdAttestor  # noqa: PLC0415 - see above

            return SystemdAttestor()
        case name:
            made = external.make("agent", "WorkloadAttestor", name, plugin.data, host, WorkloadAttestor)
            return cast("WorkloadAttestor", made)


def svid_store(plugin: Plugin, host: Host) -> SvidStore:
    """One of those that are configured.

    Raises:
        AssayError: unknown or misconfigured.
    """
    match plugin.name:
        case "disk":
            from assay_agent.plugins.svidstore_disk import DiskStore  # noqa: PLC0415 - see above

            return DiskStore.configure(plugin.data)
        case name:
            return cast("SvidStore", external.make("agent", "SVIDStore", name, plugin.data, host, SvidStore))
