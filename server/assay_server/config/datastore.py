"""Where the store is, from SPIRE's DataStore plugin section."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

from assay.errors import InvalidArgumentError

DEFAULT_NAME = "datastore.sqlite3"


def datastore_path(data: Mapping[str, object], data_dir: Path) -> Path:
    """The SQLite file's path; beside the other data when the section names none.

    SQLite's URI form, `file:PATH?...`, is taken for its path: how the file is opened is the store's own matter.

    Raises:
        InvalidArgumentError: another kind of database, or one without a file.
    """
    kind = data.get("database_type", "sqlite3")
    if kind != "sqlite3":
        raise InvalidArgumentError("only database_type sqlite3 is built yet")
    text = str(data.get("connection_string") or data_dir / DEFAULT_NAME)
    path, _, options = text.partition("?") if text.startswith("file:") else (text, "", "")
    path = unquote(path.removeprefix("file:")) if text.startswith("file:") else path
    if not path or path == ":memory:" or "mode=memory" in options:
        raise InvalidArgumentError("the store needs a file: what was promised must outlive the process")
    return Path(path)
