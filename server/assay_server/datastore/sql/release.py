"""What this code knows of its database: the file's mark, its schema's version, and the way there from older ones."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Release:
    """What one state of the code knows: the schema it reads and writes, and how to get there from an older one.

    `compatible_from` is the version of the oldest release that may work on a database of this version.
    """

    version: int
    compatible_from: int
    migrations: tuple[Path, ...]

    @property
    def revision(self) -> str:
        """Alembic's name of the version."""
        return f"{self.version:04}"


THIS_RELEASE = Release(5, 5, (Path(__file__).parent / "migrations" / "versions",))

APPLICATION_ID = 0x41535359
"""`ASSY`, in the file's header (SQLite file format, offset 68)."""
