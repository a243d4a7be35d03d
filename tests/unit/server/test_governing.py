"""Governed identities cost a server that has none of them nothing: not at its start, nor while it runs."""

import subprocess
import sys

PROBE = """
import sys
import assay_server.app
print(*sorted(name for name in sys.modules if name.startswith(
    ("assay_server.governance", "assay_server.policy", "assay_server.status", "assay_proto.governance",
     "assay_proto.status", "cedarpy", "rfc8785", "starlette"))))
"""


def test_a_start_loads_nothing_of_them() -> None:
    found = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
