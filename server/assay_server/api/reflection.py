"""gRPC server reflection on the admin socket. SPIRE's server has none; by it, grpcurl needs no .proto files."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from assay.rpc.lazy import LazyService
from assay.rpc.method import Service
from assay.wire.reflection import Reflection

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto


def reflection_of(services: Sequence[Service]) -> Reflection:
    """Describes these services in SPIRE's names."""
    names = [service.name for service in services]

    def files() -> Iterable["FileDescriptorProto"]:
        from google.protobuf.descriptor_pool import Default  # noqa: PLC0415 - few ever ask

        from assay.wire.descriptors import relocated  # noqa: PLC0415 - likewise

        for service in services:
            if isinstance(service, LazyService):
                service.loaded()  # its descriptors come with it
        return relocated(Default().FindServiceByName(name).file for name in names)

    return Reflection(names, files)
