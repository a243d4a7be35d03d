"""Both daemons' metrics beside the table of SPIRE's: no name and no label but those."""

import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from assay.testing.measured import Measured

# SPIRE's metrics: names without `spire_server_` and `spire_agent_`, and their labels. A call is two metrics, a
# count and `elapsed_time`, with `status` among the labels of both. RPCs are called what they are, and have `status`.
Labels = frozenset[str]
Table = Mapping[str, Labels]


def _calls(*keys: str, labels: Iterable[str] = ()) -> dict[str, Labels]:
    both = frozenset({"status", *labels})
    return {name: both for key in keys for name in (key, f"{key}_elapsed_time")}


def _plain(*keys: str, labels: Iterable[str] = ()) -> dict[str, Labels]:
    return dict.fromkeys(keys, frozenset(labels))


_BOTH = {
    **_plain("started", labels=["version", "trust_domain_id"]),
    **_plain("uptime_in_ms"),
    **_plain(*(f"runtime_{one}" for one in ("alloc_bytes", "num_goroutines", "sys_bytes", "total_gc_runs"))),
}

SERVER: Table = {
    **_BOTH,
    **_calls(
        "ca_manager_bundle_prune", "ca_manager_jwt_key_prepare", "ca_manager_wit_key_prepare",
        "ca_manager_x509_ca_prepare", "entry_cache_reload", "node_manager_prune", "registration_entry_manager_prune",
        "server_key_manager_generate_key", "server_key_manager_get_public_key", "server_key_manager_get_public_keys",
        "server_key_manager_sign_data", "svid_rotate",
    ),
    **_calls("bundle_manager_fetch_federated_bundle", labels=["trust_domain_id"]),
    **_plain("bundle_manager_update_federated_bundle", labels=["trust_domain_id"]),
    **_plain(
        "ca_manager_bundle_pruned", "ca_manager_x509_ca_activate", "manager_jwt_key_activate",
        "manager_wit_key_activate", "server_ca_sign_jwt_svid", "server_ca_sign_x509_ca_svid",
        "server_ca_sign_x509_svid", "entry_entries_by_entryid_cache_count", "entry_nodealiases_by_entryid_cache_count",
        "node_agents_by_id_cache_count",
    ),
    **_plain("manager_x509_ca_rotate_expiration", "manager_x509_ca_rotate_ttl", labels=["trust_domain_id"]),
    **_calls(*(f"datastore_bundle_{one}" for one in ("append", "count", "create", "delete", "fetch", "list", "set"))),
    **_calls(*(f"datastore_join_token_{one}" for one in ("create", "delete", "fetch", "prune"))),
    **_calls(
        *(f"datastore_node_{one}" for one in ("count", "create", "delete", "fetch", "list", "selectors_set", "update"))
    ),
    **_calls(
        *(f"datastore_registration_entry_{one}" for one in ("count", "create", "delete", "fetch", "list", "prune",
                                                            "update")),
        *(f"datastore_federation_relationship_{one}" for one in ("create", "delete", "fetch", "list", "update")),
        *(f"datastore_ca_journal_{one}" for one in ("fetch", "set")),
    ),
}  # fmt: skip

AGENT: Table = {
    **_BOTH,
    **_calls(
        "agent_key_manager_generate_key", "agent_key_manager_get_key", "agent_key_manager_get_keys",
        "agent_svid_rotate", "manager_sync_fetch_entries_updates", "manager_sync_fetch_svids_updates", "node_attest",
        "workload_api_workload_attestation", "cache_manager_workload_process_tainted_jwt_svids",
        "cache_manager_workload_process_tainted_x509_svids",
    ),
    **_calls("node_attestor_new_svid", "workload_api_workload_attestor", labels=["attestor"]),
    **_plain("bootstrap_attempts", "bootstrap_seconds", labels=["mode"]),
    **_plain("lru_cache_record_map_size", "lru_cache_svid_map_size", labels=["svid_type"]),
    **_plain(
        "bootstrapped", "cache_manager_expiring_svids", "cache_manager_outdated_svids", "jwt_svid_cache_size",
        "wit_svid_cache_size", "cache_manager_tainted_jwt_svids_workload", "cache_manager_tainted_x509_svids_workload",
        "lru_cache_entry_add", "lru_cache_entry_remove", "lru_cache_entry_update", "sync_bundles_total",
        "sync_entries_dropped", "sync_entries_missing", "sync_entries_stale", "sync_entries_total",
        "workload_api_discovered_selectors",
    ),
    **_plain(*(f"{api}_connection{s}" for s in ("", "s") for api in (
        "workload_api", "sds_api", "delegated_identity_api", "debug_api", "logger_api",
    ))),
    **_plain("workload_api_rate_limit_exceeded", labels=["method"]),
}  # fmt: skip

# What no deployment as short as this one comes to, and what is not built.
LATER = {
    "server": {
        "bundle_manager", "ca_manager_wit", "manager_wit", "ca_manager_bundle_pruned", "server_ca_sign_x509_ca",
        "server_key_manager_get", "server_key_manager_sign_data", "datastore_bundle_count",
        "datastore_bundle_delete", "datastore_bundle_list", "datastore_bundle_set", "datastore_federation_relationship",
        "datastore_join_token_fetch", "datastore_join_token_prune", "node_manager_prune",
        "datastore_node_delete",
    },
    "agent": {
        "agent_key_manager_get_keys", "agent_svid_rotate", "node_attest", "cache_manager", "sds_api",
        "delegated_identity_api", "debug_api", "logger_api", "workload_api_rate_limit_exceeded",
    },
}  # fmt: skip


def check(name: str, series: dict[str, set[str]], table: Table) -> None:
    prefix = f"spire_{name}_"
    rpcs = {one for one in series if one.startswith((f"{prefix}rpc_", f"{prefix}rateLimit_"))}
    assert all(series[one] == {"status", "host"} for one in rpcs)
    found = {
        one.removeprefix(prefix): frozenset(labels - {"host"}) for one, labels in series.items() if one not in rpcs
    }
    assert {one: labels for one, labels in found.items() if table.get(one) != labels} == {}
    assert {one for one in table.keys() - found.keys() if not one.startswith(tuple(LATER[name]))} == set()


@pytest.fixture
def busy() -> Iterator[Measured]:
    """A deployment in which this and that was done."""
    with TemporaryDirectory(prefix="assay-") as folder:
        measured = Measured(Path(folder))
        try:
            measured.start()
            do_things(measured)
            yield measured
        finally:
            measured.close()


def do_things(measured: Measured) -> None:
    entry_id = measured.register("/web")
    for audience in ("a", "a", "b"):
        measured.run("api", "fetch", "jwt", "--audience", audience, "--socket-path", str(measured.api))
    measured.run("agent", "healthcheck", "--socket-path", str(measured.api))
    measured.cli("entry", "count")
    measured.cli("entry", "update", "--entry-id", entry_id, "--spiffe-id", "spiffe://example.test/web",
                 "--parent-id", measured.agent_id(), "--selector", f"unix:uid:{os.geteuid()}",
                 "--hint", "x")  # fmt: skip
    measured.cli("entry", "delete", "--entry-id", entry_id)
    measured.cli("node", "count")
    measured.cli("node", "list")
    measured.cli("bundle", "show")
    gone = 'spire_agent_lru_cache_entry_remove{host="'
    measured.until("agent", lambda: any(
        line.startswith(gone) and not line.endswith(" 0.0") for line in measured.metrics("agent").splitlines()
    ))  # fmt: skip


def test_names_and_labels_are_spires(busy: Measured) -> None:
    check("server", busy.series("server"), SERVER)
    check("agent", busy.series("agent"), AGENT)
    assert "spire_server_rateLimit_agent_v1_agent_attest_agent" in busy.series("server")


def test_calls_of_the_health_check_are_connections_and_no_rpcs() -> None:
    with TemporaryDirectory(prefix="assay-") as folder:
        measured = Measured(Path(folder))
        try:
            measured.start()
            measured.run("agent", "healthcheck", "--socket-path", str(measured.api))
            series = measured.series("agent")
        finally:
            measured.close()
    assert {"spire_agent_workload_api_connection", "spire_agent_rpc_health_check"} <= series.keys()
    assert not any("rpc_workload_api" in name for name in series)


def test_what_an_agent_does_is_counted(busy: Measured) -> None:
    text = busy.metrics("agent")
    for call in ("fetch_x509svid", "fetch_jwtsvid"):
        assert f'\nspire_agent_rpc_workload_api_{call}{{host="' in text
    assert '\nspire_agent_node_attestor_new_svid{attestor="join_token",host="' in text
    assert '\nspire_agent_workload_api_workload_attestor{attestor="unix",host="' in text

    busy.processes["agent"].send_signal(signal.SIGUSR1)
    busy.until("agent", lambda: "[G] 'spire_agent.started." in busy.log("agent"))
    busy.until("agent", lambda: "Configuration reloaded" in busy.log("agent"))
