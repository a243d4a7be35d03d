"""A server and an agent as real processes, for tests that want the whole house."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ASSAY = str(Path(sys.executable).parent / "assay")
TRUST_DOMAIN = "example.test"
DEADLINE = 20.0

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

    def __init__(self, folder: Path, *, server: str = "", agent: str = "") -> None:
        self.dir = folder
        self.port = free_port()
        self.admin = folder / "admin.sock"
        self.api = folder / "api.sock"
        self.endpoint = f"unix:{self.api}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        names = {"dir": folder, "port": self.port, "td": TRUST_DOMAIN}
        (folder / "server.conf").write_text(SERVER_CONF.format(extra=server, **names))
        (folder / "agent.conf").write_text(AGENT_CONF.format(extra=agent, **names))

    def start(self) -> "Deployment":
        """Server, bundle, join token, agent."""
        self.start_server()
        self.write_bundle()
        self.start_agent("--join-token", self.cli("token", "generate")["value"])
        return self

    def start_server(self) -> None:
        """Start the server and wait until it is healthy."""
        self.spawn("server", "server", "run", "--config", str(self.dir / "server.conf"))
        self.until("server", lambda: self.try_cli("server", "healthcheck"))

    def start_agent(self, *args: str) -> None:
        """Start the agent and wait until it is healthy."""
        self.spawn("agent", "agent", "run", "--config", str(self.dir / "agent.conf"), *args)
        self.until("agent", lambda: self.try_cli("agent", "healthcheck", "--socket-path", str(self.api), admin=False))

    def write_bundle(self) -> None:
        """Save the server's bundle where the agent's configuration expects it."""
        text = self.run("bundle", "show", "--format", "pem", "--socket-path", str(self.admin)).stdout
        (self.dir / "bundle.pem").write_text(text)

    def spawn(self, name: str, *args: str) -> None:
        """Start `assay ARGS` with its output in `name`.log."""
        with (self.dir / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen([ASSAY, *args], stdout=log, stderr=log, cwd=self.dir)  # noqa: S603 - our own command

    def stop(self, name: str, how: int = signal.SIGTERM) -> int:
        """End one daemon; its exit status."""
        process = self.processes.pop(name)
        process.send_signal(how)
        return process.wait(DEADLINE)

    def log(self, name: str) -> str:
        """What that daemon has printed."""
        return (self.dir / f"{name}.log").read_text(errors="replace")

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run `assay ARGS`; CalledProcessError when it fails."""
        return subprocess.run([ASSAY, *args], capture_output=True, text=True, timeout=DEADLINE, check=True)  # noqa: S603 - ours

    def cli(self, *args: str) -> Any:  # noqa: ANN401 - JSON
        """What an admin command prints as JSON."""
        return json.loads(self.run(*args, "--output", "json", "--socket-path", str(self.admin)).stdout)

    def try_cli(self, *args: str, admin: bool = True) -> bool:
        """Whether that command succeeds."""
        socket_path = ["--socket-path", str(self.admin)] if admin else []
        done = subprocess.run([ASSAY, *args, *socket_path], capture_output=True, check=False)  # noqa: S603 - ours
        return done.returncode == 0

    def agent_id(self) -> str:
        """The SPIFFE ID of the one attested agent."""
        (node,) = self.cli("node", "list")["agents"]
        return f"spiffe://{node['id']['trust_domain']}{node['id']['path']}"

    def register(self, path: str, *args: str) -> str:
        """An entry for processes of this user below the one agent; its ID."""
        spiffe_id = f"spiffe://{TRUST_DOMAIN}{path}"
        made = self.cli(
            "entry", "create", "--spiffe-id", spiffe_id, "--parent-id", self.agent_id(),
            "--selector", f"unix:uid:{os.getuid()}", *args,
        )  # fmt: skip
        return str(made["results"][0]["entry"]["id"])

    def until(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait for `ready`; RuntimeError with the end of the log when the daemon ends or takes too long."""
        end = time.monotonic() + DEADLINE
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
                process.wait(DEADLINE)
            process.kill()
            process.wait()
