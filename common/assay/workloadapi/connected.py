"""What the clients of the Workload API's socket have in common: its connection."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.workloadapi.address import Endpoint


class Connected:
    """An async context manager; without an endpoint, `SPIFFE_ENDPOINT_SOCKET` names it."""

    def __init__(self, endpoint: Endpoint | Path | str | None = None) -> None:
        self._channel = Channel(Endpoint.of(endpoint, os.environ).connect, max_message=MAX_MESSAGE_BYTES)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End every call and the connection."""
        await self._channel.close()
