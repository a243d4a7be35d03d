"""gRPC server reflection as a server registers it; all that it answers from is loaded when somebody first asks."""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from assay.rpc.method import Handler

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

# Both versions clients ask for: they differ in name only.
SERVICES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
_METHODS = frozenset(f"/{service}/ServerReflectionInfo" for service in SERVICES)


class Reflection:
    """Describes these services and itself. `files` makes the descriptors, each after those that it imports."""

    def __init__(self, services: Iterable[str], files: Callable[[], Iterable["FileDescriptorProto"]]) -> None:
        self._services = (*services, *SERVICES)
        self._files = files

    def service(self, handler_call_details: Any, /) -> Handler | None:  # noqa: ANN401 - grpc's type or ours
        """The handler of that method, or None."""
        return self._handler if handler_call_details.method in _METHODS else None

    @cached_property
    def _handler(self) -> Handler:
        from assay.wire.reflected import handler  # noqa: PLC0415 - see the module's first line

        return handler(self._services, self._files)
