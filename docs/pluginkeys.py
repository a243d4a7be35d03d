"""What plugins read from their `plugin_data`: there is no model to take it from, so docs/generate.py asks here.

By daemon, plugin (with its type where two types have one of that name) and key: the kind of value, the default, the
meaning, and when it is read if not at the start alone.
"""

from collections.abc import Mapping
from types import MappingProxyType

_AT_ATTESTATION = "at each attestation"
_ON_RELOAD = "on `SIGHUP`, `SIGUSR1`"

PLUGIN_KEYS: Mapping[tuple[str, str, str], tuple[str, str, str, str]] = MappingProxyType({
    ("server", "sql", "database_type"): ("`sqlite3`", "`sqlite3`", "Which database; others are not built yet.", ""),
    ("server", "sql", "connection_string"): (
        "path or `file:` URI", "`datastore.sqlite3` in `data_dir`", "The database's file.", "",
    ),
    ("server", "disk", "keys_path"): ("path", "`keys.json` in `data_dir`", "The CAs' keys, mode 0600.", ""),
    ("server", "x509pop", "mode"): (
        "`external_pki`, `spiffe`", "`external_pki`",
        "Whose certificates admit nodes: those of CAs that are named here, or X.509-SVIDs of the own trust domain.",
        _ON_RELOAD,
    ),
    ("server", "x509pop", "spiffe_prefix"): (
        "path", "`/spire-exchange/`",
        "In mode `spiffe`, what the path of a node's SVID begins with; the agent's ID has the rest of it.", _ON_RELOAD,
    ),
    ("server", "x509pop", "ca_bundle_path"): (
        "path", "**required**, or the next, or `mode`", "CA certificates (PEM) whose nodes are admitted.", _ON_RELOAD,
    ),
    ("server", "x509pop", "ca_bundle_paths"): ("list of paths", "", "The same in several files.", _ON_RELOAD),
    ("server", "x509pop", "agent_path_template"): (
        "template",
        "`/{{ .PluginName }}/{{ .Fingerprint }}`; in mode `spiffe` `/{{ .PluginName }}/{{ .SVIDPathTrimmed }}`",
        "The path of an agent's ID below `/spire/agent`, from the fields of its certificate.", _ON_RELOAD,
    ),
    ("server", "x509pop", "max_intermediates"): ("number", "`4`", "How many a node may send.", _ON_RELOAD),
    ("server", "x509pop", "max_rsa_key_size"): (
        "number", "`8192`", "The largest RSA key of a node, in bits.", _ON_RELOAD,
    ),
    ("agent", "disk", "directory"): ("path", "`data_dir`", "The folder for keys.json, mode 0600.", ""),
    ("agent", "SVIDStore disk", "directory"): (
        "path", "**required**", "The folder that has a folder for each SVID; [plugins.md](plugins.md#svid-stores).", "",
    ),
    ("agent", "x509pop", "spiffe_endpoint_socket"): (
        "address, such as `unix:///run/other/api.sock`", "",
        "Prove possession of the X.509-SVID that this process has on that Workload API, in place of files.",
        _AT_ATTESTATION,
    ),
    ("agent", "x509pop", "private_key_path"): (
        "path", "**required**, or the above", "The node's key (PEM).", _AT_ATTESTATION,
    ),
    ("agent", "x509pop", "certificate_path"): (
        "path", "**required**, or the above", "The node's certificate (PEM); its chain may follow.", _AT_ATTESTATION,
    ),
    ("agent", "x509pop", "intermediates_path"): ("path", "", "The rest of its chain (PEM).", _AT_ATTESTATION),
    ("agent", "unix", "discover_workload_path"): (
        "true, false", "false",
        "Find `unix:path` and `unix:sha256` of the program, too; that needs the right to look into others' processes.",
        _ON_RELOAD,
    ),
    ("agent", "unix", "workload_size_limit"): (
        "number", "`0`", "Bytes of a program above which it is refused; 0 for no limit, below 0 for no digest.",
        _ON_RELOAD,
    ),
})  # fmt: skip
