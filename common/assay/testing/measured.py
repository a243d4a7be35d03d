"""A server and an agent that tell Prometheus what they do, and what they tell it."""

import re
import urllib.request
from collections import defaultdict
from pathlib import Path

from assay.testing.deployment import Deployment, free_port

_SERIES = re.compile(r"(spire_\w+)(?:{(.*)})? \S+$")
_LABEL = re.compile(r'(\w+)="')


class Measured(Deployment):
    """Both daemons; `rest` is what else their files say beside `telemetry`."""

    def __init__(self, folder: Path, rest: str = "") -> None:
        super().__init__(folder)
        self.ports = {name: free_port() for name in ("server", "agent")}
        for name, port in self.ports.items():
            with (folder / f"{name}.conf").open("a") as conf:
                conf.write(f"telemetry {{ Prometheus {{ port = {port} }} InMem {{}} }}\n{rest}\n")

    def metrics(self, name: str) -> str:
        """What Prometheus gets of one daemon."""
        text: bytes = urllib.request.urlopen(f"http://localhost:{self.ports[name]}/metrics", timeout=10).read()
        return text.decode()

    def series(self, name: str) -> dict[str, set[str]]:
        """The names of one daemon's metrics, as SPIRE has them, with those of their labels."""
        text = self.metrics(name)
        families = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
        found: dict[str, set[str]] = defaultdict(set)
        for line in text.splitlines():
            if (series := _SERIES.match(line)) is not None:
                whole = series[1]
                family = whole if whole in families else whole.rpartition("_")[0]
                found[family] |= set(_LABEL.findall(series[2] or "")) - {"quantile"}
        return dict(found)
