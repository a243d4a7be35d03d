"""The wheel alone: what `pip install assay` gives, with the checkout out of reach."""

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("wheel")  # built once
PACKAGES = ("assay", "assay_server", "assay_agent", "assay_proto")


@pytest.fixture(scope="module")
def bin_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that has the wheel, and of this environment only what Assay depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder), cwd=ROOT)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index", str(wheel))
    # A .pth file's folder is searched last, and the .pth files in it, such as our editable install's, are not read.
    site = sysconfig.get_path("purelib", vars={"base": str(folder / "venv")})
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return python.parent


def test_everything_comes_from_the_wheel(bin_dir: Path, tmp_path: Path) -> None:
    script = f"import {', '.join(PACKAGES)}\nfor one in ({', '.join(PACKAGES)}): print(one.__path__[0])"
    places = run(str(bin_dir / "python"), "-P", "-c", script, cwd=tmp_path).splitlines()
    assert [Path(place).name for place in places] == list(PACKAGES)
    assert all(Path(place).is_relative_to(bin_dir.parent) for place in places)


def test_help_names_every_group(bin_dir: Path, tmp_path: Path) -> None:
    out = run(str(bin_dir / "assay"), "--help", cwd=tmp_path)
    for group in ("up", "server", "agent", "entry", "token", "node", "bundle", "api"):
        assert f" {group} " in out


def test_up_goes_from_nothing_to_verified_svids(bin_dir: Path, tmp_path: Path) -> None:
    out = run(str(bin_dir / "assay"), "up", "--once", "--state", "state", cwd=tmp_path)
    assert "Fetched and verified an X.509-SVID and a JWT-SVID" in out
    assert (tmp_path / "state" / "server" / "datastore.sqlite3").stat().st_size


def test_pytest_finds_the_fixtures_and_nothing_to_warn_of(bin_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "def test_it(spiffe_workload_api, pytestconfig):\n"
        "    assert spiffe_workload_api.serve('/api')\n"
        "    assert pytestconfig.pluginmanager.hasplugin('assay')\n"
    )
    # Some programs import what they test and then call pytest: too late to rewrite assertions, which nobody asked for.
    script = f"import {', '.join(PACKAGES)}, pytest, sys\nsys.exit(pytest.main(sys.argv[1:]))"
    options = ("-q", "-W", "error", "-p", "no:cacheprovider", "-p", "no:asyncio")
    assert "1 passed" in run(str(bin_dir / "python"), "-P", "-c", script, *options, cwd=tmp_path)


def run(*command: str, cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
