"""Answers of gRPC server reflection (Workload Endpoint, section 7)."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from functools import cached_property

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection_pb2 as pb

from assay.rpc.method import MethodHandler
from assay.rpc.status import StatusCode
from assay.wire.descriptors import wire_pool


def handler(services: Iterable[str], files: Callable[[], Iterable[FileDescriptorProto]]) -> MethodHandler:
    """The one RPC of both versions."""
    return MethodHandler(
        stream_stream=_Reflection(services, files).answer,
        request_deserializer=pb.ServerReflectionRequest.FromString,
        response_serializer=pb.ServerReflectionResponse.SerializeToString,
    )


class _Reflection:
    """Answers from a pool."""

    def __init__(self, services: Iterable[str], files: Callable[[], Iterable[FileDescriptorProto]]) -> None:
        self._services = sorted(services)
        self._files = files

    async def answer(
        self, requests: AsyncIterable[pb.ServerReflectionRequest], _context: object
    ) -> AsyncIterator[pb.ServerReflectionResponse]:
        """One response for each request."""
        async for request in requests:
            try:
                yield self._answer(request)
            except KeyError:
                yield _refused(request, StatusCode.NOT_FOUND, "not found")

    @cached_property
    def _pool(self) -> DescriptorPool:
        return wire_pool(self._files())

    def _answer(self, request: pb.ServerReflectionRequest) -> pb.ServerReflectionResponse:
        """The answer; raises KeyError when the pool has no such thing."""
        pool = self._pool
        match request.WhichOneof("message_request"):
            case "list_services":
                return self._listed(request)
            case "file_by_filename":
                return _described(request, pool.FindFileByName(request.file_by_filename))
            case "file_containing_symbol":
                return _described(request, self._file_of(request.file_containing_symbol))
            case "file_containing_extension":
                asked = request.file_containing_extension
                extended = pool.FindMessageTypeByName(asked.containing_type)
                extension = pool.FindExtensionByNumber(extended, asked.extension_number)
                return _described(request, pool.FindFileContainingSymbol(extension.full_name))
            case "all_extension_numbers_of_type":
                return self._extensions(request)
            case _:
                return _refused(request, StatusCode.INVALID_ARGUMENT, "invalid argument")

    def _file_of(self, symbol: str) -> FileDescriptor:
        # protobuf finds the file of every symbol but of methods.
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file

    def _listed(self, request: pb.ServerReflectionRequest) -> pb.ServerReflectionResponse:
        services = [pb.ServiceResponse(name=name) for name in self._services]
        return pb.ServerReflectionResponse(
            original_request=request, list_services_response=pb.ListServiceResponse(service=services)
        )

    def _extensions(self, request: pb.ServerReflectionRequest) -> pb.ServerReflectionResponse:
        extended = self._pool.FindMessageTypeByName(request.all_extension_numbers_of_type)
        numbers = sorted(one.number for one in self._pool.FindAllExtensions(extended))
        return pb.ServerReflectionResponse(
            original_request=request,
            all_extension_numbers_response=pb.ExtensionNumberResponse(
                base_type_name=extended.full_name, extension_number=numbers
            ),
        )


def _described(request: pb.ServerReflectionRequest, file: FileDescriptor) -> pb.ServerReflectionResponse:
    """The file and all that it imports."""
    files: dict[str, bytes] = {}
    _collect(file, files)
    return pb.ServerReflectionResponse(
        original_request=request,
        file_descriptor_response=pb.FileDescriptorResponse(file_descriptor_proto=files.values()),
    )


def _collect(file: FileDescriptor, files: dict[str, bytes]) -> None:
    if file.name in files:
        return
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    files[file.name] = proto.SerializeToString()
    for dependency in file.dependencies:
        _collect(dependency, files)


def _refused(request: pb.ServerReflectionRequest, code: StatusCode, why: str) -> pb.ServerReflectionResponse:
    error = pb.ErrorResponse(error_code=code, error_message=why)
    return pb.ServerReflectionResponse(original_request=request, error_response=error)
