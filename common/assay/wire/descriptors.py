"""Descriptors as they are on the wire, in a pool of their own.

Our messages live in packages and files of ours, so that another library's copy may share the process; whoever asks by
reflection must see the standard's names and SPIRE's.
"""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1.health_pb2 import DESCRIPTOR as HEALTH_FILE
from grpc_reflection.v1alpha.reflection_pb2 import DESCRIPTOR as REFLECTION_FILE

# Where our .proto files lie, and SPIRE's do not.
FOLDER = "assay_proto/"


def wire_pool(files: Iterable[FileDescriptorProto]) -> DescriptorPool:
    """A pool with these files, each after those that it imports, beside those of health and reflection."""
    pool = DescriptorPool()
    reflection = renamed(REFLECTION_FILE, "grpc/reflection/v1/reflection.proto", "grpc.reflection.v1")
    for file in (to_proto(HEALTH_FILE), to_proto(REFLECTION_FILE), reflection, *files):
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def relocated(files: Iterable[FileDescriptor]) -> Iterator[FileDescriptorProto]:
    """The files without our folder in their names and imports, each once and after those that it imports."""
    seen: set[str] = set()
    for file in files:
        yield from _relocated(file, seen)


def _relocated(file: FileDescriptor, seen: set[str]) -> Iterator[FileDescriptorProto]:
    if file.name in seen:
        return
    seen.add(file.name)
    for dependency in file.dependencies:
        yield from _relocated(dependency, seen)
    proto = to_proto(file)
    proto.name = proto.name.removeprefix(FOLDER)
    proto.dependency[:] = [name.removeprefix(FOLDER) for name in proto.dependency]
    yield proto


def renamed(file: FileDescriptor, name: str, package: str) -> FileDescriptorProto:
    """The file under another name, with everything it defines in another package (empty: none)."""
    proto = to_proto(file)
    old, new = f".{proto.package}.", f".{package}." if package else "."
    proto.name, proto.package = name, package
    for message in proto.message_type:
        _rename(message, old, new)
    for service in proto.service:
        for method in service.method:
            method.input_type = _moved(method.input_type, old, new)
            method.output_type = _moved(method.output_type, old, new)
    return proto


def _rename(message: DescriptorProto, old: str, new: str) -> None:
    for field in message.field:
        # Not on fields of plain types: to set an empty name is to have one.
        if field.HasField("type_name"):
            field.type_name = _moved(field.type_name, old, new)
    for nested in message.nested_type:
        _rename(nested, old, new)


def _moved(type_name: str, old: str, new: str) -> str:
    return new + type_name.removeprefix(old) if type_name.startswith(old) else type_name


def to_proto(file: FileDescriptor) -> FileDescriptorProto:
    """The file as a message."""
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    return proto
