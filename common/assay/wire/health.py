"""grpc.health.v1.Health, of which both daemons serve Check alone, as SPIRE's do."""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc_health.v1 import health_pb2 as pb

SERVICE = "grpc.health.v1.Health"
CHECK = f"/{SERVICE}/Check"

Check = Callable[[pb.HealthCheckRequest, Any], Awaitable[pb.HealthCheckResponse]]


def handler(check: Check) -> grpc.GenericRpcHandler:
    """The service as a server registers it."""
    unary = grpc.unary_unary_rpc_method_handler(
        check,
        request_deserializer=pb.HealthCheckRequest.FromString,
        response_serializer=pb.HealthCheckResponse.SerializeToString,
    )
    return grpc.method_handlers_generic_handler(SERVICE, {"Check": unary})
