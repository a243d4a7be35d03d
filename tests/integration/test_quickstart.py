"""The commands of docs/quickstart.md, as they stand there, in one shell."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assay.testing.deployment import free_port

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(180)
def test_the_quickstart_does_what_it_says(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    port = str(free_port())
    for config in (tmp_path / "examples" / "quickstart").glob("*.conf"):
        config.write_text(config.read_text().replace("8081", port))
    commands = BLOCK.findall((ROOT / "docs" / "quickstart.md").read_text())
    # What a step leaves running is ended however the shell ends.
    script = "\n".join(["set -eu", "trap 'kill $(jobs -p) 2> /dev/null || true' EXIT", *commands])
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path, env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True, text=True, timeout=170, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for words in (
        "svid.0.pem: OK",
        "SVID is valid.",
        "validated  spiffe://example.org/web",
        "Agent evicted successfully",
    ):
        assert words in done.stdout
    assert done.stdout.count("SPIFFE ID:\t\tspiffe://example.org/web") == 3
    assert not (tmp_path / "demo").exists()
