import json
from pathlib import Path

import pytest
import typer
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from assay.cli.checks import report_health, report_validation
from assay.cli.health import check_health
from assay.cli.options import Output
from assay.config.fault import ConfigError, Fault
from assay.errors import UnavailableError

FAULT = Fault("f:1", "a.b", "is wrong")


def refuse() -> list[Fault]:
    raise ConfigError([FAULT])


def test_a_valid_file_is_valid_with_its_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    report_validation("server", Output.PRETTY, lambda: [FAULT])
    captured = capsys.readouterr()
    assert captured.out == "Assay server configuration file is valid.\n"
    assert captured.err == "Warning: f:1: a.b: is wrong\n"


def test_an_invalid_file_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end:
        report_validation("agent", Output.PRETTY, refuse)
    assert end.value.exit_code == 1
    assert capsys.readouterr().err == "Error: f:1: a.b: is wrong\nAssay agent configuration file is invalid.\n"


def test_json_has_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        report_validation("agent", Output.JSON, refuse)
    fault = {"where": "f:1", "key": "a.b", "reason": "is wrong"}
    assert json.loads(capsys.readouterr().out) == {"valid": False, "errors": [fault], "warnings": []}


@pytest.mark.parametrize("output", Output)
def test_no_daemon_is_unhealthy(output: Output, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end:
        report_health("server", Path("/nowhere"), output, verbose=True)
    assert end.value.exit_code == 1
    captured = capsys.readouterr()
    if output is Output.JSON:
        assert json.loads(captured.out) == {"healthy": False, "reason": "no server is running: /nowhere does not exist"}
    else:
        assert captured.out == "Checking server health...\n"
        assert captured.err.startswith("Server is unhealthy: no server is running")


@pytest.mark.parametrize("status", ["SERVING", "NOT_SERVING"])
async def test_the_daemon_itself_is_asked(status: str, tmp_path: Path) -> None:
    servicer = health_aio.HealthServicer()
    await servicer.set("", health_pb2.HealthCheckResponse.ServingStatus.Value(status))
    server = aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix:{tmp_path}/x")
    await server.start()
    try:
        if status == "SERVING":
            await check_health(tmp_path / "x", "server")
        else:
            with pytest.raises(UnavailableError, match="server returned status NOT_SERVING"):
                await check_health(tmp_path / "x", "server")
    finally:
        await server.stop(0)
