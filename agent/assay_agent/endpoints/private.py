"""A socket in the agent's data folder, for root and the agent's user: what the agent tells its operator."""

from collections.abc import Callable
from pathlib import Path

import structlog

from assay.errors import AssayError
from assay.rpc.method import Registry
from assay.rpc.server import Server

log = structlog.get_logger(__name__)

SOCKET_MODE = 0o600
FOLDER_MODE = 0o700


def private_socket(data_dir: Path) -> Path:
    """Where it is."""
    return data_dir / "private" / "api.sock"


class PrivateEndpoint:
    """Serves what `register` puts there. Create it on the loop."""

    def __init__(self, data_dir: Path, register: Callable[[Registry], None]) -> None:
        self._path = private_socket(data_dir)
        self._server = Server()
        register(self._server)

    async def start(self) -> None:
        """Accept calls. An agent that cannot be asked serves its workloads all the same."""
        try:
            await self._server.listen_unix(self._path, SOCKET_MODE, FOLDER_MODE)
        except AssayError as error:
            log.warning("Agent cannot be asked with `assay explain`", path=str(self._path), error=str(error))

    async def close(self) -> None:
        """Accept no more, end calls, remove the socket."""
        await self._server.close(0)
