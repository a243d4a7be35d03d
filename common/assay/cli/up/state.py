"""The folder of `assay up`: what is kept between runs, and the daemons' configuration files."""

import errno
import fcntl
import json
import os
import socket
import tempfile
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from assay.cli.up.node import NodeCertificate
from assay.cli.up.options import DEFAULT_TRUST_DOMAIN
from assay.errors import FailedPreconditionError
from assay.files import write_private
from assay.spiffeid import TrustDomain
from assay.transport.unix import MAX_PATH_BYTES

HOST = "127.0.0.1"
SERVER_CONFIG, AGENT_CONFIG = "server.json", "agent.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """What must be the same in the next run. `runtime` is the sockets' folder when the state's path is too long."""

    trust_domain: str
    port: int
    runtime: str = ""


class State:
    """The folder's files, by name."""

    def __init__(self, folder: Path, kept: Kept) -> None:
        sockets = Path(kept.runtime) if kept.runtime else folder
        self.folder = folder
        self.kept = kept
        self.trust_domain = TrustDomain(kept.trust_domain)
        self.admin_socket = sockets / "admin" / "api.sock"
        self.workload_socket = sockets / "api.sock"
        self.bundle = folder / "bundle.pem"
        self.node = NodeCertificate(folder / "node")
        self.server_log = folder / "server.log"
        self.agent_log = folder / "agent.log"

    def has_agent_svid(self) -> bool:
        """Whether the agent of an earlier run has left its SVID."""
        return (self.folder / "agent" / "agent-data.json").exists()

    def write_server_config(self, log_level: str) -> Path:
        """Write server.json; its path."""
        data = self.folder / "server"
        return self._write(SERVER_CONFIG, {
            "server": {
                "trust_domain": self.kept.trust_domain,
                "bind_address": HOST,
                "bind_port": self.kept.port,
                "socket_path": str(self.admin_socket),
                "data_dir": str(data),
                "log_level": log_level,
            },
            "plugins": {
                "DataStore": _plugin(
                    "sql", database_type="sqlite3", connection_string=str(data / "datastore.sqlite3")
                ),
                "KeyManager": _plugin("disk", keys_path=str(data / "keys.json")),
                "NodeAttestor": {
                    **_plugin("join_token"),
                    **_plugin("x509pop", ca_bundle_path=str(self.node.ca)),
                },
            },
        })  # fmt: skip

    def write_agent_config(self, log_level: str) -> Path:
        """Write agent.json; its path."""
        data = self.folder / "agent"
        return self._write(AGENT_CONFIG, {
            "agent": {
                "trust_domain": self.kept.trust_domain,
                "server_address": HOST,
                "server_port": self.kept.port,
                "socket_path": str(self.workload_socket),
                "trust_bundle_path": str(self.bundle),
                "data_dir": str(data),
                "log_level": log_level,
            },
            "plugins": {
                "KeyManager": _plugin("disk", directory=str(data)),
                "NodeAttestor": _plugin(
                    "x509pop", private_key_path=str(self.node.key), certificate_path=str(self.node.certificate)
                ),
                "WorkloadAttestor": _plugin("unix"),
            },
        })  # fmt: skip

    def _write(self, name: str, document: dict[str, object]) -> Path:
        path = self.folder / name
        write_private(path, json.dumps(document, indent=2).encode() + b"\n")
        return path


def admin_socket(folder: Path) -> Path | None:
    """The admin socket of the server that was last run in that folder; None if none was."""
    try:
        return Path(json.loads((folder / SERVER_CONFIG).read_bytes())["server"]["socket_path"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def opened(folder: Path, trust_domain: str | None) -> Generator[State]:
    """The state in that folder, ours alone while the block runs; made if it is not there.

    Raises:
        FailedPreconditionError: another run has it, it is of another trust domain, or it cannot be written or read.
    """
    with ExitStack() as held:
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            lock = held.enter_context((folder / "lock").open("a+"))
            _lock(lock.fileno(), folder)
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            (folder / ".gitignore").write_text("*\n")
            state = State(folder, _keep(folder, trust_domain))
        except OSError as error:
            hint = "use another folder with --state"
            raise FailedPreconditionError(f"cannot use {folder}: {error.strerror or error}", hint=hint) from None
        try:
            yield state
        finally:
            _clear(state)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            raise
        owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        who = f" (process {owner})" if owner else ""
        hint = "stop that one, or use another folder with --state"
        raise FailedPreconditionError(f"another `assay up`{who} is running on {folder}", hint=hint) from None


def _keep(folder: Path, trust_domain: str | None) -> Kept:
    path = folder / "state.json"
    found = _read(path)
    if found is None:
        name = TrustDomain.parse(trust_domain or DEFAULT_TRUST_DOMAIN).name
        kept = Kept(name, _free_port(0), _short_folder(folder))
    else:
        if trust_domain is not None and trust_domain != found.trust_domain:
            message = f"{folder} is of trust domain {found.trust_domain}"
            raise FailedPreconditionError(message, hint="use another folder with --state")
        kept = replace(found, port=_free_port(found.port), runtime=found.runtime and _restored(found.runtime))
    if kept != found:
        write_private(path, json.dumps(asdict(kept)).encode())
    return kept


def _read(path: Path) -> Kept | None:
    try:
        document: dict[str, Any] = json.loads(path.read_text())
        return Kept(str(document["trust_domain"]), int(document["port"]), str(document["runtime"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        hint = "delete the folder to begin anew"
        raise FailedPreconditionError(f"{path} is damaged", hint=hint) from None


def _free_port(wanted: int) -> int:
    """That port if nobody has it, else one that nobody has."""
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise FailedPreconditionError(f"no free port on {HOST}")


def _short_folder(folder: Path) -> str:
    """Where sockets go when their paths below `folder` would be longer than the kernel takes; empty if they are not."""
    if len(bytes(folder / "admin" / "api.sock")) <= MAX_PATH_BYTES:
        return ""
    made = Path(tempfile.mkdtemp(prefix="assay-"))
    made.chmod(0o755)
    return str(made)


def _restored(runtime: str) -> str:
    """The sockets' folder of the last run, or another one if that is gone or somebody else's."""
    with suppress(OSError):
        Path(runtime).mkdir(mode=0o755, exist_ok=True)
        if Path(runtime).stat(follow_symlinks=False).st_uid == os.geteuid():
            return runtime
    made = Path(tempfile.mkdtemp(prefix="assay-"))
    made.chmod(0o755)
    return str(made)


def _clear(state: State) -> None:
    """Take away the sockets' folder if it is not the state's; the next run makes it again."""
    if not state.kept.runtime:
        return
    with suppress(OSError):
        for path in (state.admin_socket, state.workload_socket):
            path.unlink(missing_ok=True)
        if state.admin_socket.parent.exists():
            state.admin_socket.parent.rmdir()
        Path(state.kept.runtime).rmdir()


def _plugin(name: str, **data: str) -> dict[str, object]:
    return {name: {"plugin_data": data}}
