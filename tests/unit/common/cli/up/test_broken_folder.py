import subprocess
import sys
from pathlib import Path

import pytest

from assay.cli.up.node import NodeCertificate
from assay.errors import FailedPreconditionError
from assay.spiffeid import TrustDomain

# Not `preexec_fn`: that forks, and a process that holds gRPC's threads may abort in its fork handlers.
WITH_A_SMALL_DISK = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_a_damaged_node_certificate_is_said(tmp_path: Path) -> None:
    node = NodeCertificate(tmp_path)
    node.certificate.write_text("rubbish")
    with pytest.raises(FailedPreconditionError, match=r"node\.pem is damaged; delete the folder"):
        node.agent_id(TrustDomain("a"))


def test_a_disk_that_fills_up_under_way_is_said_without_a_traceback(tmp_path: Path) -> None:
    # Room for state.json, not for the node's certificates.
    done = subprocess.run(
        [sys.executable, "-c", WITH_A_SMALL_DISK, "-m", "assay.cli", "up", "--once", "--state", str(tmp_path / "s")],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"Error: cannot write to {tmp_path / 's'}: File too large",
        "Hint: make room there, or use another folder with --state",
    ]
