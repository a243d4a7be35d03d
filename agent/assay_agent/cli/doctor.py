"""What `assay doctor` looks at of an agent."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from assay.bundle import jwks, pem
from assay.cli.doctor.daemon import Certificates, Daemon, Setup
from assay.cli.doctor.files import look_at_file
from assay.config.source import read
from assay.sockets import WORKLOAD_SOCKET
from assay_agent.cli.agent import DEFAULT_CONFIG
from assay_agent.cli.checked import load_checked
from assay_agent.config.settings import AgentConfig
from assay_agent.storage.data import decode
from assay_agent.storage.disk import FILE_NAME

KEYS_FILE = "keys.json"

_WRITE_BUNDLE = "write the server's bundle of now there: `assay bundle show > FILE` on the server"
_START_ANEW = (
    "if the server has a new authority that this agent never heard of: name the server's bundle of now as "
    "trust_bundle_path and move the agent's data_dir away; it attests anew"
)
_ATTESTS_ANEW = (
    "see the agent's log: it renews its SVID while it runs and reaches its server; once expired, it has to attest again"
)


def _load(path: Path, env: Mapping[str, str] | None) -> Setup:
    loaded = load_checked(read(path, env=env))
    config = loaded.config
    data = config.data_dir / FILE_NAME
    return Setup(
        warnings=loaded.warnings,
        trust_domain=config.trust_domain,
        data_dir=config.data_dir,
        socket=config.socket_path,
        address=(config.server_address, config.server_port),
        keys=list(_keys(config)),
        private=[data],
        bundles=list(_bundles(config, data)),
        svid=Certificates("SVID", data, lambda content: decode(content).svid, _ATTESTS_ANEW),
    )


def _keys(config: AgentConfig) -> Iterator[Path]:
    # Another package's plugin may have keys of these names that mean something else.
    if config.key_manager.name == "disk":
        yield Path(str(config.key_manager.data["directory"])) / KEYS_FILE
    if config.node_attestor.name == "x509pop" and (key := config.node_attestor.data.get("private_key_path")):
        yield Path(str(key))
    yield from _stored_keys(config)
    if config.join_token_file is not None:
        yield config.join_token_file


def _stored_keys(config: AgentConfig) -> Iterator[Path]:
    """Those in the disk store that are the agent's; others are whose their entry says."""
    owner = look_at_file(config.data_dir).uid
    for store in config.svid_stores:
        if store.name == "disk":
            found = sorted(Path(str(store.data.get("directory"))).glob("[!.]*/svid.key"))
            yield from (path for path in found if look_at_file(path).uid == owner)


def _bundles(config: AgentConfig, data: Path) -> Iterator[Certificates]:
    def configured(content: bytes) -> Sequence[bytes]:
        if config.trust_bundle_format == "pem":
            return [one.der for one in pem.parse(content)]
        return [one.der for one in jwks.parse(config.trust_domain, content).x509_authorities]

    if config.trust_bundle_path is not None:
        yield Certificates("trust_bundle_path", config.trust_bundle_path, configured, _WRITE_BUNDLE)
    yield Certificates("bundle kept", data, lambda content: decode(content).bundle, _START_ANEW)


DAEMON = Daemon("agent", DEFAULT_CONFIG, WORKLOAD_SOCKET, public=True, load=_load)
