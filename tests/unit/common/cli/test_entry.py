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


def test_ctrl_c_while_the_command_still_loads_prints_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_character_that_the_terminal_lacks_ends_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "assay.cli", "agent", "validate", "--config", "/nowhere/✓.conf"],
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"}, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert b"/nowhere/?.conf" in done.stdout + done.stderr
