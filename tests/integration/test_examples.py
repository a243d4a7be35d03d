"""Each example runs, as its README says."""

import os
import subprocess
import sys
from pathlib import Path

from assay.testing.deployment import Deployment

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_fetch_prints_both_svids_and_the_validated_id(deployment: Deployment) -> None:
    deployment.register("/example")
    done = subprocess.run(
        [sys.executable, EXAMPLES / "fetch" / "fetch.py"],
        env={**os.environ, "SPIFFE_ENDPOINT_SOCKET": deployment.endpoint},
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    lines = [line.split()[:2] for line in done.stdout.splitlines()]
    assert lines == [[kind, "spiffe://example.test/example"] for kind in ("X509-SVID", "JWT-SVID", "validated")]
