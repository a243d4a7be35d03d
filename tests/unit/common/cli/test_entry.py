import os
import subprocess
import sys

INTERRUPT = """
import runpy, sys
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "assay.cli.main":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
runpy.run_module("assay.cli", run_name="__main__")
"""
PRINTED = """
import contextlib, sys
from assay.cli.main import main
sys.argv = ["assay", "--version"]
with contextlib.suppress(SystemExit):
    main()
print("✓ done")
"""


def test_ctrl_c_while_the_command_still_loads_prints_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_character_that_the_terminal_lacks_ends_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PRINTED], env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[-1:], done.stderr) == (0, [b"? done"], b"")
