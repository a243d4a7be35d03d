"""The workloads' socket, from the gRPC server to the file."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from assay.http2.limits import Limits
from assay.rpc.method import GenericHandler, Method, unserved
from assay.rpc.server import Options, Server, peer_of
from assay.telemetry.rpc import Observer
from assay.transport.peer import Peer
from assay.transport.room import Room
from assay.wire.reflection import Reflection
from assay.workloadapi import wire
from assay.workloadapi.address import Endpoint
from assay.workloadapi.client import WorkloadApiClient
from assay_agent.endpoints import health

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

log = structlog.get_logger(__name__)

# Every process of the host may call; what it gets is decided by attestation.
SOCKET_MODE = 0o777
FOLDER_MODE = 0o755
# On one connection, most of them streams that stay; a client's next calls wait with the client.
CALLS_AT_ONCE = 1000
# Seconds that the health check's own call may take.
PROBE_TIMEOUT = 5.0
# What the log calls what is served: by whether the Workload API is, and SDS.
_API_NAMES = {
    (True, True): "Workload and SDS APIs", (True, False): "Workload API",
    (False, True): "SDS API", (False, False): "no APIs",
}  # fmt: skip


class DescribedService(GenericHandler, Protocol):
    """A service that loads what it takes when it is first called; `files` are its descriptors, for reflection."""

    name: str

    def files(self) -> Iterable["FileDescriptorProto"]:
        """Those and all that they import, each after what it imports."""
        ...


class Endpoints:
    """One gRPC server. Create it on the loop, `serve` the API, `serve_sds`, or both, then `start`.

    The Workload API refuses calls without the security header. Health and reflection answer without, as SPIRE's do:
    they say nothing of any workload, and the tools that call them set no headers (the standard asks for it on every
    call). Each of the `observers` stands round those before it, and they round every RPC that is served.
    A user of the host has at most so many connections, and so many calls under way, on all of them together.
    """

    def __init__(
        self,
        socket_path: Path,
        observers: Sequence[Observer] = (),
        *,
        connections_per_user: int | None = None,
        calls_per_user: int | None = None,
    ) -> None:
        self._path = socket_path
        self._observers = observers
        self.room = Room(per_connection=2, per_caller=connections_per_user)
        options = Options(http2=Limits(streams=CALLS_AT_ONCE), calls_per_user=calls_per_user)
        self._server = Server(self._observed, options, room=self.room)
        self._sds: DescribedService | None = None
        self._more: list[DescribedService] = []
        self._workload_api = False

    def peer(self, context: wire.Context) -> Peer:
        """Who makes this call; raises UnauthenticatedError when that is not known."""
        return peer_of(context)

    def serve(self, servicer: wire.Servicer) -> None:
        """Serve the Workload API with this."""
        self._workload_api = True
        wire.register(self._server, servicer)

    def serve_sds(self, service: DescribedService) -> None:
        """Serve Envoy's Secret Discovery Service with this, to calls without the security header."""
        self._sds = service
        self._server.add_generic_rpc_handlers((service,))

    def serve_more(self, service: DescribedService) -> None:
        """Serve another service that asks for the security header itself."""
        self._more.append(service)
        self._server.add_generic_rpc_handlers((service,))

    async def start(self) -> None:
        """Accept calls.

        Raises:
            AssayError: the socket cannot be had.
        """
        health.Health(self.probe).register(self._server)
        self._server.add_generic_rpc_handlers((Reflection((*self._names, health.SERVICE), self._files),))
        await self._server.listen_unix(self._path, SOCKET_MODE, FOLDER_MODE)
        log.info("Starting agent APIs", address=str(self._path), apis=self._apis, network="unix")

    async def close(self, grace: float = 0.0) -> None:
        """Accept no more; calls have `grace` seconds, in which streams do not end by themselves."""
        log.info("Stopping agent APIs", apis=self._apis)
        await self._server.close(grace)

    def _observed(self, path: str, method: Method | None) -> Method:
        if method is None:  # names that callers make up are nobody's to count
            return unserved(path)
        for observe in self._observers:
            method = observe(method)
        return method

    async def probe(self) -> None:
        """Call the Workload API, if it is served, on this very socket.

        Raises:
            AssayError: it refuses, and be it for want of an entry.
        """
        if not self._workload_api:
            return
        async with WorkloadApiClient(Endpoint.of_path(self._path)) as client:
            await client.fetch_x509(within=PROBE_TIMEOUT)

    @property
    def _apis(self) -> str:
        return _API_NAMES[self._workload_api, self._sds is not None]

    @property
    def _names(self) -> Iterable[str]:
        return (*((wire.SERVICE,) if self._workload_api else ()), *(one.name for one in self._lazy))

    @property
    def _lazy(self) -> Sequence[DescribedService]:
        return (*((self._sds,) if self._sds else ()), *self._more)

    def _files(self) -> Iterable["FileDescriptorProto"]:
        from assay_agent.endpoints.descriptors import workload_api_files  # noqa: PLC0415 - few ever ask

        ours = workload_api_files() if self._workload_api else ()
        return (*ours, *(file for one in self._lazy for file in one.files()))
