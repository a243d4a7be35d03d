"""Where SPIRE's daemons listen by default, and so ours: their tools and workloads then find us."""

from pathlib import Path

ADMIN_SOCKET = Path("/tmp/spire-server/private/api.sock")  # noqa: S108 - SPIRE's
WORKLOAD_SOCKET = Path("/tmp/spire-agent/public/api.sock")  # noqa: S108 - SPIRE's
