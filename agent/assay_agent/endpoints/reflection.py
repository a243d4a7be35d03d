"""gRPC server reflection (Workload Endpoint, section 7), in both versions clients ask for: they differ in name only."""

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha.reflection import aio as library

from assay.rpc.method import Registry

SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


def register(server: Registry, services: Iterable[str], pool: DescriptorPool) -> None:
    """Describe these services, and reflection itself, from the pool."""
    servicer: Any = library.ReflectionServicer([*services, *SERVICES], pool=_Symbols(pool))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        pb.ServerReflectionRequest.FromString,
        pb.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}) for name in SERVICES
    )


class _Symbols:
    """A pool that finds the file of a method too: protobuf's own finds that of every symbol but those."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:
        """The file that defines it; raises KeyError if there is none."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a pool has
        return getattr(self._pool, name)
