"""From a document and the command line to a ServerConfig."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.config.check import Checked, Override, Plugins, Schema, at_most_one, check
from assay.config.document import Document
from assay.config.fault import Fault
from assay.config.logging import LogSettings
from assay.config.plugin import Plugin
from assay.errors import InvalidArgumentError
from assay.keymanager.base import KeyType
from assay_server.config.datastore import datastore_path
from assay_server.config.schema import FLAGS, SECTIONS, WIT_FLAG, ServerFile
from assay_server.config.settings import ServerConfig
from assay_server.config.spire import CATALOG, NOT_BUILT
from assay_server.config.ttl import ttl_warnings

# With flags alone an agent can still be admitted, by a token made on the admin socket.
WITHOUT_FILE = Document("command line", {"server": {}, "plugins": {"NodeAttestor": {"join_token": {}}}})


@dataclass(frozen=True, slots=True)
class LoadedServer:
    """A usable configuration, and what its operator should know about it."""

    config: ServerConfig
    warnings: tuple[Fault, ...]


def load(document: Document, overrides: Sequence[Override] = ()) -> LoadedServer:
    """Check the document and make the configuration.

    Raises:
        ConfigError: with every fault.
    """
    checked = check(document, _SCHEMA, overrides)
    server = checked.model.server
    config = ServerConfig(
        trust_domain=server.trust_domain,
        data_dir=server.data_dir,
        bind_address=server.bind_address.strip("[]"),
        bind_port=server.bind_port,
        socket_path=server.socket_path,
        datastore_path=datastore_path(_datastore(checked.plugins), server.data_dir),
        key_manager=_key_manager(checked),
        node_attestors=checked.plugins["NodeAttestor"],
        ca_ttl=server.ca_ttl,
        default_x509_svid_ttl=server.default_x509_svid_ttl,
        default_jwt_svid_ttl=server.default_jwt_svid_ttl,
        agent_ttl=server.agent_ttl or server.default_x509_svid_ttl,
        ca_key_type=server.ca_key_type or KeyType.EC_P256,
        jwt_key_type=server.jwt_key_type or server.ca_key_type or KeyType.EC_P256,
        ca_subject=server.ca_subject.value(),
        jwt_issuer=server.jwt_issuer,
        wit_svids=WIT_FLAG in server.experimental.feature_flags,
        wit_key_type=server.experimental.wit_key_type or server.ca_key_type or KeyType.EC_P256,
        wit_issuer=server.experimental.wit_issuer,
        admin_ids=frozenset(server.admin_ids),
        rates=checked.model.assay.ratelimit.rates(server.ratelimit),
        proxy_networks=server.proxy_protocol_trusted_cidrs,
        prune_attested_nodes_expired_for=server.prune_attested_nodes_expired_for or None,
        prune_attested_nodes_batch_size=server.prune_attested_nodes_batch_size,
        prune_tofu_nodes=server.prune_tofu_nodes,
        max_message_bytes=checked.model.assay.max_message_bytes,
        connections_per_caller=checked.model.assay.connections_per_caller,
        anonymous_connections=checked.model.assay.anonymous_connections,
        health=checked.model.health_checks.settings(),
        audit_log=server.audit_log_enabled,
        audit_log_file=checked.model.assay.audit_log_file,
        telemetry=checked.model.telemetry.value(checked.model.assay.telemetry),
        token_endpoint=checked.model.assay.token_endpoint.settings(),
        tasks=checked.model.assay.tasks.settings(),
        log=LogSettings(server.log_level, server.log_format, server.log_file, server.log_source_location),
    )
    return LoadedServer(config, (*checked.warnings, *ttl_warnings(document, config), *_wit_warnings(document, config)))


def _wit_warnings(document: Document, config: ServerConfig) -> list[Fault]:
    """WIT-SVID section 3.7: whoever knows OpenID Connect could take one for an ID token, and ask for no proof."""
    if not config.wit_issuer.startswith("https://"):
        return []
    reason = "a URL makes WIT-SVIDs look like OpenID Connect's tokens, which are taken without proof; use another name"
    return [document.fault(("server", "experimental", "wit_issuer"), reason)]


def _verify(document: Document, plugins: Plugins) -> list[Fault]:
    faults = at_most_one(document, plugins, ("DataStore", "KeyManager"))
    try:
        datastore_path(_datastore(plugins), Path())
    except InvalidArgumentError as error:
        faults.append(document.fault(("plugins", "DataStore", "sql", "plugin_data"), error.message))
    return faults


def _datastore(plugins: Plugins) -> Mapping[str, object]:
    return plugins["DataStore"][0].data if plugins["DataStore"] else {}


def _key_manager(checked: Checked[ServerFile]) -> Plugin:
    plugin = (checked.plugins["KeyManager"] or (Plugin("disk"),))[0]
    if plugin.name != "disk" or plugin.data.get("keys_path"):
        return plugin
    return Plugin("disk", {"keys_path": str(checked.model.server.data_dir / "keys.json")})


_SCHEMA = Schema(ServerFile, SECTIONS, NOT_BUILT, CATALOG, _verify, FLAGS, "server")
