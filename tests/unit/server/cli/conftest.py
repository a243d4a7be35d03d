"""One real server with one real agent for all tests of the admin commands; each test brings its own entries."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assay.cli.main import run
from assay.testing.deployment import Deployment


@pytest.fixture(scope="session")
def deployment() -> Iterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        made = Deployment(Path(folder))
        try:
            yield made.start()
        finally:
            made.close()


class Cli:
    """Runs `assay ARGS` on the admin socket, in this process."""

    def __init__(self, socket_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._socket = str(socket_path)
        self._capsys = capsys
        self.err = ""

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """What it prints; what it complains about is in `err`."""
        self._capsys.readouterr()
        found = run([*arguments, "-socketPath", self._socket])
        captured = self._capsys.readouterr()
        self.err = captured.err
        assert found == status, captured.out + captured.err
        return captured.out

    def json(self, *arguments: str, status: int = 0) -> Any:  # noqa: ANN401 - JSON
        """What it prints as JSON."""
        return json.loads(self(*arguments, "-output", "json", status=status))


@pytest.fixture
def cli(deployment: Deployment, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(deployment.admin, capsys)


@pytest.fixture
def entry(cli: Cli) -> Iterator[Callable[..., str]]:
    """Makes entries and deletes them; gives their IDs."""
    made: list[str] = []

    def create(path: str, *arguments: str) -> str:
        flags = ("-spiffeID", f"spiffe://example.test{path}", "-selector", "unix:uid:4242", *arguments)
        parent = () if "-node" in arguments else ("-parentID", "spiffe://example.test/parent")
        created = cli.json("entry", "create", *flags, *parent)
        made.append(created["results"][0]["entry"]["id"])
        return made[-1]

    yield create
    for entry_id in made:
        run(["entry", "delete", "-entryID", entry_id, "--socket-path", cli._socket])
