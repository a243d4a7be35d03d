"""The Workload API's descriptors under the standard's names, for reflection."""

from collections.abc import Sequence

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.struct_pb2 import DESCRIPTOR as STRUCT_FILE

from assay.wire.descriptors import renamed, to_proto
from assay_proto.workloadapi.workloadapi_pb2 import DESCRIPTOR as WORKLOAD_API_FILE


def workload_api_files() -> Sequence[FileDescriptorProto]:
    """Those files, each after what it imports."""
    return to_proto(STRUCT_FILE), renamed(WORKLOAD_API_FILE, "workload.proto", "")
