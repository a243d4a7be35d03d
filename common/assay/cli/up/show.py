"""What a person sees of `assay up`."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

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
        self._console.print(line)

    def show_fetched(self, steps: Steps, fetched: Fetched, now: datetime) -> None:
        """The two SVIDs, and whom they are for."""
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold")
        table.add_column(overflow="fold")
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
            ("admin socket", str(steps.state.admin_socket)),
            ("logs", f"{steps.state.server_log}, {steps.state.agent_log.name}"),
        )
        for row in rows:
            table.add_row(*row)
        self._console.print()
        self._console.print(table)
        self._console.print()
        # A line to copy: never wrapped, never coloured.
        self._console.print(
            f"SPIFFE_ENDPOINT_SOCKET=unix:{steps.state.workload_socket}", soft_wrap=True, highlight=False
        )

    def show_running(self) -> None:
        """What to do now."""
        self._console.print("\nBoth are running; Ctrl-C stops them. In another terminal, export the line above, then:")
        self._console.print("  assay api fetch", highlight=False)

    def show_rotated(self, svid: X509Svid, now: datetime) -> None:
        """A new X.509-SVID has come."""
        self._console.print(f"X.509-SVID of {svid.spiffe_id} renewed; expires {_moment(svid.not_after, now)}")

    def show_stopping(self) -> None:
        """The end is near."""
        self._console.print("Stopping the agent and the server.")


def _moment(seconds: int, now: datetime) -> str:
    local = datetime.fromtimestamp(seconds, now.tzinfo).astimezone()
    left = max(0, seconds - int(now.timestamp()))
    return f"{local:%Y-%m-%d %H:%M:%S}, in {format_duration(left)}"
