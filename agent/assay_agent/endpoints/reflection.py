"""gRPC server reflection (Workload Endpoint, section 7), in both versions clients ask for: they differ in name only."""

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc import aio
from grpc_reflection.v1alpha import reflection_pb2 as pb
from grpc_reflection.v1alpha.reflection import aio as library

SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


def register(server: aio.Server, services: Iterable[str], pool: DescriptorPool) -> None:
    """Describe these services, and reflection itself, from the pool."""
    servicer: Any = library.ReflectionServicer([*services, *SERVICES], pool=pool)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        pb.ServerReflectionRequest.FromString,
        pb.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler}) for name in SERVICES
    )
