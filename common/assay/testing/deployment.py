"""A server and an agent as real processes, for tests that want the whole house."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assay.testing.operator import PATIENCE, Operator, serving
from assay.testing.workload import svids

ASSAY = str(Path(sys.executable).parent / "assay")
TRUST_DOMAIN = "example.test"

SERVER_CONF = """
server {{
    bind_address = "127.0.0.1"
    bind_port = "{port}"
    socket_path = "{dir}/admin.sock"
    trust_domain = "{td}"
    data_dir = "{dir}/server"
    log_level = "DEBUG"
    {extra}
}}
plugins {{
    DataStore "sql" {{
        plugin_data {{
            database_type = "sqlite3"
            connection_string = "{dir}/server/datastore.sqlite3"
        }}
    }}
    KeyManager "disk" {{
        plugin_data {{ keys_path = "{dir}/server/keys.json" }}
    }}
    NodeAttestor "join_token" {{
        plugin_data {{}}
    }}
}}
"""

AGENT_CONF = """
agent {{
    data_dir = "{dir}/agent"
    log_level = "DEBUG"
    server_address = "127.0.0.1"
    server_port = "{port}"
    socket_path = "{dir}/api.sock"
    trust_bundle_path = "{dir}/bundle.pem"
    trust_domain = "{td}"
    {extra}
}}
plugins {{
    KeyManager "disk" {{
        plugin_data {{ directory = "{dir}/agent" }}
    }}
    NodeAttestor "join_token" {{
        plugin_data {{}}
    }}
    WorkloadAttestor "unix" {{
        plugin_data {{}}
    }}
}}
"""


def free_port() -> int:
    """A TCP port on the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Deployment:
    """A server and an agent as processes, with their files in one short-named folder."""

    def __init__(self, folder: Path, *, server: str = "", agent: str = "", trust_domain: str = TRUST_DOMAIN) -> None:
        self.dir = folder
        self.port = free_port()
        self.admin = folder / "admin.sock"
        self.api = folder / "api.sock"
        self.endpoint = f"unix:{self.api}"
        self.operator = Operator(trust_domain, self.admin)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        names = {"dir": folder, "port": self.port, "td": trust_domain}
        (folder / "server.conf").write_text(SERVER_CONF.format(extra=server, **names))
        (folder / "agent.conf").write_text(AGENT_CONF.format(extra=agent, **names))

    def start(self) -> "Deployment":
        """Server, bundle, join token, agent."""
        self.start_server()
        self.write_bundle()
        self.start_agent("--join-token", self.operator.join_token())
        return self

    def start_server(self) -> None:
        """Start the server and wait until it is healthy."""
        self.spawn("server", "server", "run", "--config", str(self.dir / "server.conf"))
        self.until("server", lambda: serving(self.admin))

    def start_agent(self, *args: str) -> None:
        """Start the agent and wait until it is healthy."""
        self.spawn("agent", "agent", "run", "--config", str(self.dir / "agent.conf"), *args)
        self.until("agent", lambda: serving(self.api))

    def write_bundle(self) -> None:
        """Save the server's bundle where the agent's configuration expects it."""
        (self.dir / "bundle.pem").write_bytes(self.operator.bundle())

    def spawn(self, name: str, *args: str) -> None:
        """Start `assay ARGS` with its output in `name`.log."""
        with (self.dir / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen([ASSAY, *args], stdout=log, stderr=log, cwd=self.dir)  # noqa: S603 - our own command

    def stop(self, name: str, how: int = signal.SIGTERM) -> int:
        """End one daemon; its exit status."""
        process = self.processes.pop(name)
        process.send_signal(how)
        return process.wait(PATIENCE)

    def log(self, name: str) -> str:
        """What that daemon has printed."""
        return (self.dir / f"{name}.log").read_text(errors="replace")

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run `assay ARGS`; CalledProcessError when it fails."""
        return subprocess.run([ASSAY, *args], capture_output=True, text=True, timeout=PATIENCE, check=True)  # noqa: S603 - ours

    def cli(self, *args: str) -> Any:  # noqa: ANN401 - JSON
        """What an admin command prints as JSON."""
        return json.loads(self.run(*args, "--output", "json", "--socket-path", str(self.admin)).stdout)

    def agent_id(self) -> str:
        """The SPIFFE ID of the one attested agent."""
        (agent,) = self.operator.agents()
        return str(agent)

    def register(self, path: str, *, dns_names: tuple[str, ...] = (), federates_with: tuple[str, ...] = ()) -> str:
        """An entry for processes of this user below the one agent; its ID, once they can have the SVID."""
        (agent,) = self.operator.agents()
        entry_id = self.operator.register(path, agent, dns_names, federates_with)
        self.until("agent", lambda: f"{agent.trust_domain.id}{path}" in svids(self.api))
        return entry_id

    def until(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait for `ready`; RuntimeError with the end of the log when the daemon ends or takes too long."""
        end = time.monotonic() + PATIENCE
        while not ready():
            if self.processes[name].poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{name} did not become ready:\n{self.log(name)[-4000:]}")
            time.sleep(0.05)

    def close(self) -> None:
        """End both."""
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            process.kill()
            process.wait()
