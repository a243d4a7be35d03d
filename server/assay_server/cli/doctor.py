"""What `assay doctor` looks at of a server."""

from collections.abc import Mapping
from pathlib import Path

from assay.cli.doctor.daemon import Daemon, Setup
from assay.config.source import read
from assay.sockets import ADMIN_SOCKET
from assay_server.cli.checked import load_checked
from assay_server.cli.server import DEFAULT_CONFIG

# Where a server listens that listens everywhere.
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


def _load(path: Path, env: Mapping[str, str] | None) -> Setup:
    loaded = load_checked(read(path, env=env))
    config = loaded.config
    keys = config.key_manager.data.get("keys_path") if config.key_manager.name == "disk" else None
    return Setup(
        warnings=loaded.warnings,
        trust_domain=config.trust_domain,
        data_dir=config.data_dir,
        socket=config.socket_path,
        address=(_ANYWHERE.get(config.bind_address, config.bind_address), config.bind_port),
        keys=[Path(str(keys))] if keys else [],
        private=[config.datastore_path],
    )


DAEMON = Daemon("server", DEFAULT_CONFIG, ADMIN_SOCKET, public=False, load=_load)
