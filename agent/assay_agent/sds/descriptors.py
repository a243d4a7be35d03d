"""The service's descriptors under Envoy's names, for reflection."""

from collections.abc import Iterator

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from assay.wire.descriptors import relocated
from assay_proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import DESCRIPTOR as SECRET_FILE
from assay_proto.envoy.extensions.transport_sockets.tls.v3.tls_spiffe_validator_config_pb2 import (
    DESCRIPTOR as VALIDATOR_FILE,
)
from assay_proto.envoy.service.secret.v3.sds_pb2 import DESCRIPTOR as SDS_FILE

# Our own package stands in for google.rpc, of which a process can have but one copy.
_OURS, _THEIRS = "assay.rpc.v1", "google.rpc"
_OUR_FILE, _THEIR_FILE = "rpc/v1/status.proto", "google/rpc/status.proto"


def sds_files() -> Iterator[FileDescriptorProto]:
    """The service, its messages and the secrets that ride in them, each after what it imports."""
    for file in relocated((SDS_FILE, SECRET_FILE, VALIDATOR_FILE)):
        yield _under_true_names(file)


def _under_true_names(file: FileDescriptorProto) -> FileDescriptorProto:
    if file.name == _OUR_FILE:
        file.name, file.package = _THEIR_FILE, _THEIRS
    file.dependency[:] = [_THEIR_FILE if name == _OUR_FILE else name for name in file.dependency]
    for message in file.message_type:
        for field in message.field:
            if field.type_name.startswith(f".{_OURS}."):
                field.type_name = f".{_THEIRS}.{field.type_name.removeprefix(f'.{_OURS}.')}"
    return file
