"""An installed package for tests of what is found by entry point."""

from collections.abc import Mapping
from pathlib import Path

_METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"


def install(folder: Path, name: str, module: str, entry_points: Mapping[str, Mapping[str, str]]) -> None:
    """Put a distribution of one module, `NAME` with dashes as underscores, there; on `sys.path` it counts as installed.

    Args:
        folder: as `site-packages`.
        name: the distribution's, such as `acme-assay`.
        module: its source.
        entry_points: object references by name, by group.
    """
    imported = name.replace("-", "_")
    info = folder / f"{imported}-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / f"{imported}.py").write_text(module)
    (info / "METADATA").write_text(_METADATA.format(name=name, version="1.0"))
    lines = [f"[{group}]\n" + "".join(f"{key} = {ref}\n" for key, ref in points.items()) for group, points in
             entry_points.items()]  # fmt: skip
    (info / "entry_points.txt").write_text("\n".join(lines))
