"""grpc.health.v1.Health, of which both daemons serve Check alone, as SPIRE's do."""

from collections.abc import Awaitable, Callable
from typing import Any

from grpc_health.v1 import health_pb2 as pb

from assay.rpc.method import MethodHandler, Service

SERVICE = "grpc.health.v1.Health"
CHECK = f"/{SERVICE}/Check"

Check = Callable[[pb.HealthCheckRequest, Any], Awaitable[pb.HealthCheckResponse]]


def handler(check: Check) -> Service:
    """The service as a server registers it."""
    unary = MethodHandler(
        unary_unary=check,
        request_deserializer=pb.HealthCheckRequest.FromString,
        response_serializer=pb.HealthCheckResponse.SerializeToString,
    )
    return Service(SERVICE, {"Check": unary})
