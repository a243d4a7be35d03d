"""Descriptors as they are on the wire, in a pool of their own.

Our Workload API messages live in a package of ours, so that another library's copy may share the process; whoever asks
by reflection must see the standard's names.
"""

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.struct_pb2 import DESCRIPTOR as STRUCT_FILE
from grpc_health.v1.health_pb2 import DESCRIPTOR as HEALTH_FILE
from grpc_reflection.v1alpha.reflection_pb2 import DESCRIPTOR as REFLECTION_FILE

from assay_proto.workloadapi.workloadapi_pb2 import DESCRIPTOR as WORKLOAD_API_FILE


def wire_pool() -> DescriptorPool:
    """A pool with every service on the workloads' socket."""
    pool = DescriptorPool()
    for file in (STRUCT_FILE, HEALTH_FILE, REFLECTION_FILE):
        pool.AddSerializedFile(_proto(file).SerializeToString())
    for file in (
        renamed(WORKLOAD_API_FILE, "workload.proto", ""),
        renamed(REFLECTION_FILE, "grpc/reflection/v1/reflection.proto", "grpc.reflection.v1"),
    ):
        pool.AddSerializedFile(file.SerializeToString())
    return pool


def renamed(file: FileDescriptor, name: str, package: str) -> FileDescriptorProto:
    """The file under another name, with everything it defines in another package (empty: none)."""
    proto = _proto(file)
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


def _proto(file: FileDescriptor) -> FileDescriptorProto:
    proto = FileDescriptorProto()
    file.CopyToProto(proto)
    return proto
