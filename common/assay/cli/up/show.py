"""What a person sees of `assay up`."""

import shlex
import shutil
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.text import Text

from assay.cli.options import ADMIN_SOCKET_VARIABLE
from assay.cli.up.fetched import Fetched
from assay.cli.up.steps import AUDIENCE, Steps
from assay.config.duration import format_duration
from assay.svid import X509Svid


class Screen:
    """Progress while it starts, then what came of it. Times are shown as this machine's local time."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, doing: str, done: str) -> Generator[None]:
        """Say what is being done, and once it is, what was done and how long it took."""
        begun = time.monotonic()
        with self._console.status(f"{doing} ..."):
            yield
        line = Text.assemble(("✓ ", "green"), done, (f"  {time.monotonic() - begun:.2f} s", "dim"))
        self._say(line)

    def show_fetched(self, steps: Steps, fetched: Fetched, now: datetime) -> None:
        """The two SVIDs, and whom they are for."""
        svid, token = fetched.x509, fetched.jwt
        rows = (
            ("X.509-SVID", str(svid.spiffe_id)),
            ("  expires", _moment(svid.not_after, now)),
            ("  next rotation", f"about {_moment(int(fetched.rotates_at.timestamp()), now)}"),
            ("JWT-SVID", str(token.spiffe_id)),
            ("  expires", _moment(token.expires_at, now)),
            ("  audience", AUDIENCE),
            ("verified", f"both, against the bundle of {fetched.bundle.trust_domain}"),
            ("selectors", f"unix:{steps.selector}"),
            ("agent", str(steps.agent_id)),
            ("server", f"127.0.0.1:{steps.state.kept.port}"),
            ("logs", f"{steps.state.server_log}, {steps.state.agent_log.name}"),
        )
        self._say("")
        for label, value in rows:
            self._say(Text.assemble((f"{label:<17}", "bold"), value))
        self._say("")
        self._say(f"SPIFFE_ENDPOINT_SOCKET=unix:{steps.state.workload_socket}")
        self._say(f"{ADMIN_SOCKET_VARIABLE}={steps.state.admin_socket}")

    def show_running(self) -> None:
        """What to do now."""
        command = "assay" if shutil.which("assay") else shlex.quote(sys.argv[0])
        self._say("")
        self._say("Both are running; Ctrl-C stops them. In another terminal, export these two lines, then:")
        self._say(f"  {command} api fetch x509    # as a workload")
        self._say(f"  {command} entry show        # as an operator")

    def show_rotated(self, svid: X509Svid, now: datetime) -> None:
        """A new X.509-SVID has come."""
        self._say(f"X.509-SVID of {svid.spiffe_id} renewed; expires {_moment(svid.not_after, now)}")

    def show_stopping(self) -> None:
        """The end is near."""
        self._say("Stopping the agent and the server.")

    def _say(self, line: str | Text) -> None:
        # Lines are there to be copied: the terminal may wrap them, we neither wrap, cut nor pad them.
        self._console.print(line, soft_wrap=True, highlight=False)


def _moment(seconds: int, now: datetime) -> str:
    local = datetime.fromtimestamp(seconds, now.tzinfo).astimezone()
    left = max(0, seconds - int(now.timestamp()))
    return f"{local:%Y-%m-%d %H:%M:%S}, in {format_duration(left)}"
