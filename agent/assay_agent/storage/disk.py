"""The agent's data folder."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from assay.errors import FailedPreconditionError
from assay_agent.storage.data import AgentData, decode, encode

FILE_NAME = "agent-data.json"


class AgentStorage:
    """The agent's own state in `agent-data.json`, readable by its owner alone; a SPIRE agent's is taken over as it is.

    A change is on disk when its method returns; if the write fails, file and `data` stay as they were.

    Raises:
        FailedPreconditionError: the file is there and damaged or unreadable.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE_NAME
        self.data = _load(self._path)

    def store_svid(self, chain: Sequence[bytes], *, reattestable: bool) -> None:
        """Keep the agent's SVID (DER, leaf first) and whether its node may attest again."""
        self._store(replace(self.data, svid=tuple(chain), reattestable=reattestable))

    def delete_svid(self) -> None:
        """Forget the SVID and keep the bundle: the next start attests anew."""
        self._store(replace(self.data, svid=(), reattestable=False))

    def store_bundle(self, authorities: Sequence[bytes]) -> None:
        """Keep the trust domain's X.509 authorities (DER)."""
        if tuple(authorities) != self.data.bundle:
            self._store(replace(self.data, bundle=tuple(authorities)))

    def _store(self, data: AgentData) -> None:
        write_private(self._path, encode(data))
        self.data = data


def _load(path: Path) -> AgentData:
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return AgentData()
    except FailedPreconditionError as error:
        raise FailedPreconditionError(
            f"failed to open storage: {error.message}", hint=f"restore {path}, or remove it to attest this node anew"
        ) from error
    except OSError as error:
        raise FailedPreconditionError(f"failed to open storage: failed to read data: {error}") from error


def write_private(path: Path, content: bytes) -> None:
    """Replace a file at once and durably, with mode 0600: readers and crashes see the old content or the new.

    Raises:
        OSError: the old content is still there.
    """
    scratch = path.with_name(path.name + ".tmp")
    try:
        with open(scratch, "wb", opener=_open_private) as file:
            os.fchmod(file.fileno(), 0o600)  # a scratch file left over may have another mode
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError:
        scratch.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
