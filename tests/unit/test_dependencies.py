"""docs/dependencies.md says of each dependency why it is here, and of nothing else."""

import re
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def named(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}


def documented(heading: str) -> set[str]:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return {name for cell in cells for name in cell.split(", ")} - {"library"}


def test_what_runs() -> None:
    assert documented("To run") == named(PROJECT["project"]["dependencies"])


def test_what_runs_where_asked_for() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [one for name, requirements in extras.items() if name != "dev" for one in requirements]
    assert documented("To run, where asked for") == named(wanted)
    assert named(wanted) <= named(extras["dev"])


def test_what_develops() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = named([*extras["dev"], *PROJECT["build-system"]["requires"]])
    assert documented("To develop") == wanted - named([*extras["otlp"], *extras["statsd"]])
