"""The plugins that come with the server, by the names the configuration gives them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from assay.clock import Clock
from assay.config.plugin import Plugin
from assay.errors import InvalidArgumentError, prefixed
from assay.plugin.nodeattestor import ServerNodeAttestor
from assay.spiffeid import TrustDomain
from assay_server.attestation.tokens import JoinTokens
from assay_server.plugins.nodeattestor_join_token import JoinTokenAttestor


@dataclass(frozen=True, slots=True)
class Host:
    """What the server lends its node attestors."""

    trust_domain: TrustDomain
    clock: Clock
    tokens: JoinTokens


def _join_token(_data: Mapping[str, object], host: Host) -> ServerNodeAttestor:
    return JoinTokenAttestor(host.tokens)


def _x509pop(data: Mapping[str, object], host: Host) -> ServerNodeAttestor:
    # Certificate verification is not needed for the first answer.
    from assay_server.plugins.nodeattestor_x509pop import X509PopAttestor, X509PopConfig  # noqa: PLC0415 - see above

    return X509PopAttestor(X509PopConfig.parse(data), host.trust_domain, host.clock)


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


def check(plugin: Plugin) -> None:
    """See whether a node attestor's settings are right, the files that they name included.

    Raises:
        InvalidArgumentError: they are not.
    """
    if plugin.name == "x509pop":
        from assay_server.plugins.nodeattestor_x509pop import X509PopConfig  # noqa: PLC0415 - see above

        X509PopConfig.parse(plugin.data)


def _make(plugin: Plugin, host: Host) -> ServerNodeAttestor:
    if plugin.name not in NODE_ATTESTORS:
        raise InvalidArgumentError(
            f'no built-in node attestor "{plugin.name}"', hint=f"there are: {', '.join(NODE_ATTESTORS)}"
        )
    with prefixed(f'NodeAttestor "{plugin.name}"'):
        return NODE_ATTESTORS[plugin.name](plugin.data, host)
