"""What an Envoy says of itself, as far as it decides how bundles are written for it."""

from google.protobuf.struct_pb2 import Value

from assay_proto.envoy.config.core.v3.base_pb2 import Node

DISABLED_KEY = "disable_spiffe_cert_validation"
"""In the node's metadata: what it says goes before the agent's configuration."""

# Envoys before 1.18 do not know the SPIFFE validator, or not to the end.
_VALIDATES_SINCE = (1, 18)
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def validates_spiffe(node: Node, *, disabled: bool) -> bool:
    """Whether the Envoy is to verify peers by its SPIFFE validator; `disabled` is what the configuration says."""
    if node.HasField("metadata") and DISABLED_KEY in node.metadata.fields:
        told = _as_bool(node.metadata.fields[DISABLED_KEY])
        disabled = disabled if told is None else told
    return not disabled and _knows_validator(node)


def _knows_validator(node: Node) -> bool:
    if not node.HasField("user_agent_build_version"):
        return True
    version = node.user_agent_build_version.version
    return (version.major_number, version.minor_number) >= _VALIDATES_SINCE


def _as_bool(value: Value) -> bool | None:
    """None when it is neither: as if it were not there."""
    if value.HasField("bool_value"):
        return value.bool_value
    if value.HasField("string_value"):
        return True if value.string_value in _TRUE else False if value.string_value in _FALSE else None
    return None
