"""Asking a daemon on its socket whether it is well."""

from pathlib import Path

from grpc_health.v1 import health_pb2 as pb

from assay.cli.admin import check_listening, dial, translated
from assay.errors import UnavailableError
from assay.rpc.status import EndError
from assay.wire.health import CHECK

TIMEOUT = 5.0  # seconds


async def check_health(path: Path, who: str) -> None:
    """Return if the daemon on that socket says it is serving.

    Raises:
        AssayError: it does not, or nobody answers.
    """
    check_listening(path, who, f"start one with `assay {who} run`")
    channel = dial(path)
    try:
        request = pb.HealthCheckRequest().SerializeToString()
        answer = pb.HealthCheckResponse.FromString(await channel.unary(CHECK, request, (), timeout=TIMEOUT))
    except EndError as error:
        raise translated(error, path) from None
    finally:
        await channel.close()
    if answer.status != pb.HealthCheckResponse.SERVING:
        name = pb.HealthCheckResponse.ServingStatus.Name(answer.status)
        raise UnavailableError(f"{who} returned status {name}")
