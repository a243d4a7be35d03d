import io
import shutil
import sys
from pathlib import Path

import pytest
from rich.console import Console

from assay.cli.up.show import Screen


def shown(*, width: int) -> tuple[Screen, io.StringIO]:
    out = io.StringIO()
    return Screen(Console(file=out, width=width)), out


def test_a_step_is_one_line_without_escapes_where_there_is_no_terminal() -> None:
    screen, out = shown(width=20)
    with screen.step("Doing it", "Did what was long to say, and said it at length"):
        pass
    (line,) = out.getvalue().splitlines()
    assert line.startswith("✓ Did what was long to say, and said it at length  0.")
    assert "\x1b" not in line


@pytest.mark.parametrize("there", [True, False])
def test_the_next_command_can_be_typed_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    program = tmp_path / "assay"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) if there else "")
    monkeypatch.setattr(sys, "argv", ["/else where/assay", "up"])
    assert bool(shutil.which("assay")) is there
    screen, out = shown(width=30)
    screen.show_running()
    command = "assay" if there else "'/else where/assay'"
    assert out.getvalue().splitlines()[-2:] == [
        f"  {command} api fetch x509    # as a workload",
        f"  {command} entry show        # as an operator",
    ]
    assert all(line == line.rstrip() for line in out.getvalue().splitlines())
