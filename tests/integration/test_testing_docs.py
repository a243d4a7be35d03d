"""The files of docs/testing.md, as they stand there, in a folder of their own; and its table of wrong SVIDs."""

import os
import re
import subprocess
import sys
from pathlib import Path

from assay.testing import WrongJwtSvid, WrongTaskToken, WrongX509Svid

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
FILE = re.compile(r"^```python\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `(Wrong\w+\.\w+)` \| (.+) \| `(\w+)` \|$", re.MULTILINE)


def test_the_files_of_the_page_pass(tmp_path: Path) -> None:
    for name, text in FILE.findall(PAGE.read_text()):
        (tmp_path / name).write_text(text)
    left_out = {"PYTEST_ADDOPTS", "PYTHONPATH", "SPIFFE_ENDPOINT_SOCKET"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio"],
        cwd=tmp_path, env={name: value for name, value in os.environ.items() if name not in left_out},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{8 + len(WrongJwtSvid) + len(WrongTaskToken)} passed" in done.stdout


def test_the_table_of_wrong_svids_is_complete() -> None:
    kinds = (WrongX509Svid, WrongJwtSvid, WrongTaskToken)
    assert ROW.findall(PAGE.read_text()) == [(str(one), one.words, one.reason.value) for kind in kinds for one in kind]
