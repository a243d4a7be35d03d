"""Plugins by the names the configuration gives them: the server's own, then other packages'."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast

from assay.clock import Clock
from assay.config.plugin import Plugin
from assay.errors import prefixed
from assay.keymanager.base import KeyManager
from assay.plugin import external
from assay.plugin.nodeattestor import ServerNodeAttestor
from assay.spiffeid import TrustDomain
from assay_server.attestation.tokens import JoinTokens
from assay_server.plugins.nodeattestor_join_token import JoinTokenAttestor


@dataclass(frozen=True, slots=True)
class Host:
    """What the server lends its node attestors. `authorities` gives the trust domain's X.509 authorities now (DER)."""

    trust_domain: TrustDomain
    clock: Clock
    tokens: JoinTokens
    data_dir: Path
    authorities: Callable[[], Sequence[bytes]] = tuple


def _join_token(_data: Mapping[str, object], host: Host) -> ServerNodeAttestor:
    return JoinTokenAttestor(host.tokens)


def _x509pop(data: Mapping[str, object], host: Host) -> ServerNodeAttestor:
    # Certificate verification is not needed for the first answer.
    from assay_server.plugins.nodeattestor_x509pop import X509PopAttestor, X509PopConfig  # noqa: PLC0415 - see above

    return X509PopAttestor(X509PopConfig.parse(data), host.trust_domain, host.clock, host.authorities)


NODE_ATTESTORS: Mapping[str, Callable[[Mapping[str, object], Host], ServerNodeAttestor]] = MappingProxyType(
    {
        "join_token": _join_token,
        "x509pop": _x509pop,
    }
)


def node_attestors(plugins: Iterable[Plugin], host: Host) -> dict[str, ServerNodeAttestor]:
    """The attestors that are configured, by name.

    Raises:
        InvalidArgumentError: no such plugin, or its settings are wrong; the text names the plugin.
    """
    return {plugin.name: _make(plugin, host) for plugin in plugins}


def key_manager(plugin: Plugin, host: external.Host) -> KeyManager:
    """`disk` or `memory`, or another package's.

    Raises:
        AssayError: unknown or misconfigured, or its file is damaged.
    """
    match plugin.name:
        case "disk":
            from assay.keymanager.disk import DiskKeyManager  # noqa: PLC0415 - one of the two is enough

            return DiskKeyManager(Path(str(plugin.data["keys_path"])))
        case "memory":
            from assay.keymanager.memory import MemoryKeyManager  # noqa: PLC0415 - likewise

            return MemoryKeyManager()
        case name:
            return cast("KeyManager", external.make("server", "KeyManager", name, plugin.data, host, KeyManager))


def check(plugin: Plugin, host: external.Host) -> None:
    """See whether a node attestor's settings are right, the files that they name included.

    Raises:
        InvalidArgumentError: they are not.
        FailedPreconditionError: it is another package's, and cannot be made.
    """
    if plugin.name not in NODE_ATTESTORS:
        _external(plugin, host)
    if plugin.name == "x509pop":
        from assay_server.plugins.nodeattestor_x509pop import X509PopConfig  # noqa: PLC0415 - see above

        X509PopConfig.parse(plugin.data)


def _make(plugin: Plugin, host: Host) -> ServerNodeAttestor:
    if plugin.name not in NODE_ATTESTORS:
        return _external(plugin, external.Host(host.trust_domain, host.clock, host.data_dir))
    with prefixed(f'NodeAttestor "{plugin.name}"'):
        return NODE_ATTESTORS[plugin.name](plugin.data, host)


def _external(plugin: Plugin, host: external.Host) -> ServerNodeAttestor:
    made = external.make("server", "NodeAttestor", plugin.name, plugin.data, host, ServerNodeAttestor)
    return cast("ServerNodeAttestor", made)
