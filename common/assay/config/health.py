"""`health_checks { }`, which both daemons have."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator

from assay.config.fields import Port, Section


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """Where health is told over HTTP, if it is."""

    enabled: bool = False
    address: str = "localhost"
    port: int = 80
    live_path: str = "/live"
    ready_path: str = "/ready"


def _path(text: str) -> str:
    if text and not text.startswith("/"):
        raise ValueError("must begin with /")
    return text


UrlPath = Annotated[str, AfterValidator(_path)]


class HealthChecksSection(Section):
    """`health_checks { }`. Empty values mean the defaults, as in SPIRE."""

    listener_enabled: bool = False
    """Tell over HTTP whether the daemon is well: 200 or 500, and in JSON why."""
    bind_address: str = "localhost"
    """The address to listen on."""
    bind_port: Port = 80
    """The TCP port to listen on."""
    live_path: UrlPath = "/live"
    """Where to ask whether it should be left running."""
    ready_path: UrlPath = "/ready"
    """Where to ask whether it does its work."""

    def settings(self) -> HealthSettings:
        """As the daemons take it."""
        return HealthSettings(
            self.listener_enabled,
            self.bind_address.strip("[]") or "localhost",
            self.bind_port,
            self.live_path or "/live",
            self.ready_path or "/ready",
        )
