"""The agent's admin socket, from the gRPC server to the file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from assay.errors import AssayError
from assay.http2.limits import Limits
from assay.rpc.method import Method, Service, unserved
from assay.rpc.server import Options, Server
from assay.rpc.status import EndError, StatusCode
from assay.telemetry.rpc import Observer
from assay.wire.status import CODES

log = structlog.get_logger(__name__)

# For the agent's user and its group, in a folder that others may look into: delegates need not be root.
SOCKET_MODE = 0o770
FOLDER_MODE = 0o755
# On one connection: a delegate has a stream for each of its workloads.
CALLS_AT_ONCE = 10_000


class AdminEndpoints:
    """Serves these on a Unix socket from `start` to `close`; no reflection and no health, as in SPIRE.

    Each of the `observers` stands round those before it.
    """

    def __init__(self, socket_path: Path, services: Sequence[Service], observers: Sequence[Observer] = ()) -> None:
        self._path = socket_path
        self._observers = observers
        self._names = frozenset(service.name for service in services)
        self._server = Server(self._guarded, Options(http2=Limits(streams=CALLS_AT_ONCE)))
        self._server.add_generic_rpc_handlers(services)

    async def start(self) -> None:
        """Accept calls.

        Raises:
            AssayError: the socket cannot be had.
        """
        await self._server.listen_unix(self._path, SOCKET_MODE, FOLDER_MODE)
        log.info("Starting Admin APIs", address=str(self._path), network="unix")

    async def close(self, grace: float = 0.0) -> None:
        """Accept no more; calls have `grace` seconds, in which streams do not end by themselves."""
        log.info("Stopping Admin APIs")
        await self._server.close(grace)

    def _guarded(self, path: str, method: Method | None) -> Method:
        """The method, whose AssayErrors are the call's status; one that refuses when there is none."""
        if method is None:
            return unserved(path, self._unknown(path))
        behavior = method.behavior

        async def guard(request: object, context: object) -> object:
            try:
                return await behavior(request, context)
            except AssayError as error:
                raise EndError(CODES[error.kind], error.message) from error
            except EndError:
                # Refused already, or over: the caller went while we answered.
                raise
            except Exception as error:
                log.exception("Admin API call failed", method=path)
                raise EndError(StatusCode.INTERNAL, "internal error") from error

        method = replace(method, behavior=guard)
        for observe in self._observers:
            method = observe(method)
        return method

    def _unknown(self, path: str) -> str:
        service, slash, name = path.removeprefix("/").rpartition("/")
        if not slash:
            return f'malformed method name: "{path}"'
        if service in self._names:
            return f"unknown method {name} for service {service}"
        return f"unknown service {service}"
