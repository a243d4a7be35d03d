"""Generate the protobuf code beside its .proto files; with --check only say whether what is committed is current."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Registered by hand under the standard's name, which has no package: generated stubs would dial another path.
NO_STUBS = {"assay_proto/workloadapi/workloadapi.proto"}


def compile_into(out: Path) -> None:
    """Write code and type stubs of every .proto file below this folder."""
    sources = sorted(str(f.relative_to(HERE)) for f in HERE.rglob("*.proto"))
    services = [s for s in sources if "\nservice " in (HERE / s).read_text() and s not in NO_STUBS]
    protoc = [sys.executable, "-m", "grpc_tools.protoc", "-I", "."]
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for args in (
        [f"--python_out={out}", f"--mypy_out=quiet:{out}", *sources],
        [f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}", *services],
    ):
        subprocess.run([*protoc, *args], cwd=HERE, env=env, check=True)


def generated(root: Path) -> dict[str, bytes]:
    """Generated files below root, by relative path."""
    return {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*_pb2*.py*") if f.suffix in {".py", ".pyi"}}


def main() -> int:
    """Generate; 1 when --check finds a difference."""
    with tempfile.TemporaryDirectory() as scratch:
        compile_into(Path(scratch))
        fresh, committed = generated(Path(scratch)), generated(HERE)
    stale = sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
    if "--check" in sys.argv[1:]:
        if stale:
            print("stale generated code, run `make proto`:", *stale, sep="\n  ", file=sys.stderr)
        return 1 if stale else 0
    for name in stale:
        if name in fresh:
            (HERE / name).write_bytes(fresh[name])
        else:
            (HERE / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
