"""Fixtures that start the real daemons."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from hypothesis import settings

from assay.testing.deployment import Deployment

# Timings decide no test; and what CI says of a change must be about that change.
settings.register_profile("assay", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("assay")


class Deployments(Protocol):
    def __call__(self, *, server: str = "", agent: str = "") -> Deployment: ...


@pytest.fixture
def deployments() -> Iterator[Deployments]:
    """Makes deployments and ends them; `deployments(server=..., agent=...)` adds lines to the configuration."""
    with contextlib.ExitStack() as stack:

        def make(*, server: str = "", agent: str = "") -> Deployment:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-")))
            deployment = Deployment(folder, server=server, agent=agent)
            stack.callback(deployment.close)
            return deployment

        yield make


@pytest.fixture
def deployment(deployments: Deployments) -> Deployment:
    """A server and an agent that run."""
    return deployments().start()
