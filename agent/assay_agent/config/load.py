"""From a document and the command line to an AgentConfig."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from assay.config.check import Override, Plugins, Schema, at_most_one, check
from assay.config.document import Document
from assay.config.fault import ConfigError, Fault
from assay.config.logging import LogSettings
from assay.config.plugin import Plugin
from assay_agent.config.bootstrap import bootstrap_faults
from assay_agent.config.schema import DEFAULT_CACHE_SIZE, FLAGS, MAX_HIT_TIMEOUT, SECTIONS, AgentFile, AgentSection
from assay_agent.config.settings import AgentConfig, SdsSettings
from assay_agent.config.spire import CATALOG, NOT_BUILT

WITHOUT_FILE = Document("command line", {"agent": {}})


@dataclass(frozen=True, slots=True)
class LoadedAgent:
    """A usable configuration, and what its operator should know about it."""

    config: AgentConfig
    warnings: tuple[Fault, ...]


def load(document: Document, overrides: Sequence[Override] = ()) -> LoadedAgent:
    """Check the document and make the configuration.

    A file that lists no plugin of a type gets `disk`, `join_token` and `unix`.

    Raises:
        ConfigError: with every fault.
    """
    checked = check(document, _SCHEMA, overrides)
    agent = checked.model.agent
    if faults := [*bootstrap_faults(document, agent), *_admin_faults(document, agent)]:
        raise ConfigError(faults)
    config = AgentConfig(
        trust_domain=agent.trust_domain,
        data_dir=agent.data_dir,
        server_address=agent.server_address.strip("[]"),
        server_port=agent.server_port,
        socket_path=agent.socket_path,
        admin_socket_path=agent.admin_socket_path,
        authorized_delegates=frozenset(agent.authorized_delegates),
        key_manager=_key_manager(agent, checked.plugins["KeyManager"]),
        node_attestor=(checked.plugins["NodeAttestor"] or (Plugin("join_token"),))[0],
        workload_attestors=checked.plugins["WorkloadAttestor"] or (Plugin("unix"),),
        svid_stores=checked.plugins["SVIDStore"],
        join_token=agent.join_token,
        join_token_file=agent.join_token_file,
        trust_bundle_path=agent.trust_bundle_path,
        trust_bundle_url=agent.trust_bundle_url,
        trust_bundle_unix_socket=agent.trust_bundle_unix_socket,
        trust_bundle_spiffe_workload_api=agent.trust_bundle_spiffe_workload_api,
        trust_bundle_format=agent.trust_bundle_format,
        insecure_bootstrap=agent.insecure_bootstrap,
        rebootstrap_mode=agent.rebootstrap_mode,
        rebootstrap_delay=agent.rebootstrap_delay,
        allow_unauthenticated_verifiers=agent.allow_unauthenticated_verifiers,
        allowed_foreign_jwt_claims=frozenset(agent.allowed_foreign_jwt_claims),
        workload_x509_svid_key_type=agent.workload_x509_svid_key_type,
        availability_target=agent.availability_target,
        x509_svid_cache_max_size=agent.x509_svid_cache_max_size or DEFAULT_CACHE_SIZE,
        jwt_svid_cache_max_size=agent.jwt_svid_cache_max_size or DEFAULT_CACHE_SIZE,
        jwt_svid_cache_hit_timeout=agent.experimental.jwt_svid_cache_hit_timeout or MAX_HIT_TIMEOUT,
        sync_interval=agent.experimental.sync_interval,
        log_selectors=tuple(agent.log_selectors),
        workload_api=not agent.disable_workload_api,
        sds=None if agent.disable_sds_api else SdsSettings(**agent.sds.model_dump()),
        method_rates=agent.experimental.ratelimit.rates(),
        calls_per_user=checked.model.assay.calls_per_user,
        calls_at_once_per_user=checked.model.assay.calls_at_once_per_user,
        connections_per_user=checked.model.assay.connections_per_user,
        health=checked.model.health_checks.settings(),
        telemetry=checked.model.telemetry.value(checked.model.assay.telemetry),
        log=LogSettings(agent.log_level, agent.log_format, agent.log_file, agent.log_source_location),
    )
    return LoadedAgent(config, checked.warnings)


def _admin_faults(document: Document, agent: AgentSection) -> list[Fault]:
    faults: list[Fault] = []
    # By their names, without following links, as SPIRE does.
    folder, admin = os.path.dirname(os.path.abspath(agent.socket_path)), agent.admin_socket_path  # noqa: PTH100, PTH120
    if admin is not None and os.path.abspath(admin).startswith(f"{folder}/"):  # noqa: PTH100
        reason = (
            "admin socket cannot be in the same directory or a subdirectory as that containing the Workload API socket"
        )
        faults.append(document.fault(("agent", "admin_socket_path"), reason))
    for one in agent.authorized_delegates:
        if not one.member_of(agent.trust_domain):
            reason = f'SPIFFE ID "{one}" is not a member of trust domain "{agent.trust_domain}"'
            faults.append(document.fault(("agent", "authorized_delegates"), reason))
    return faults


def _key_manager(agent: AgentSection, found: tuple[Plugin, ...]) -> Plugin:
    plugin = found[0] if found else Plugin("disk")
    if plugin.name != "disk" or plugin.data.get("directory"):
        return plugin
    return Plugin("disk", {"directory": str(agent.data_dir)})


def _verify(document: Document, plugins: Plugins) -> list[Fault]:
    return at_most_one(document, plugins, ("KeyManager", "NodeAttestor"))


_SCHEMA = Schema(AgentFile, SECTIONS, NOT_BUILT, CATALOG, _verify, FLAGS, "agent")
