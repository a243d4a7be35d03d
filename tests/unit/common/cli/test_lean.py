import subprocess
import sys

import pytest

CODE = """
import sys
{before}
from assay.cli.lean import load_structlog
load_structlog()
import structlog
loaded = "rich" in sys.modules
import rich.table
import rich.pretty
print("structlog" in sys.modules, loaded, rich.table.Table.__name__)
structlog.get_logger().warning("still logs")
"""


@pytest.mark.parametrize(("before", "loaded"), [("", "False"), ("import rich", "True"), ("import structlog", "True")])
def test_structlog_is_loaded_alone_and_rich_can_follow(before: str, loaded: str) -> None:
    code = CODE.format(before=before)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == f"True {loaded} Table"
    assert "still logs" in second
