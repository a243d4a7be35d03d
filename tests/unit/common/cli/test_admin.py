import os
import socket
from pathlib import Path

import pytest
from grpc import aio

from assay.cli.admin import check_listening, connect, translated
from assay.errors import NotFoundError, PermissionDeniedError, UnavailableError
from assay.rpc.status import EndError, StatusCode


def test_nobody_there_is_said_in_plain_words(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"no server is running: .*/x does not exist; start it, or name"):
        check_listening(tmp_path / "x", "server", "start it")
    path = tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as leftover:
        leftover.bind(str(path))
    with pytest.raises(UnavailableError, match=r"no agent is running: nobody listens on .*/left"):
        check_listening(path, "agent", "start it")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may connect to everything")
def test_a_socket_that_is_not_for_this_user(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        path.chmod(0)
        with pytest.raises(PermissionDeniedError, match="this user may not connect"):
            check_listening(path, "server", "start it")


def test_a_path_that_no_socket_can_have(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"could not connect to .*too long"):
        check_listening(tmp_path / ("x" * 200), "server", "start it")


def test_who_listens_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        check_listening(path, "server", "start it")


def test_refusals_keep_their_kind_and_words() -> None:
    refused = translated(EndError(StatusCode.NOT_FOUND, "no such entry"), Path("/x"))
    assert isinstance(refused, NotFoundError)
    assert refused.message == "no such entry"
    late = translated(EndError(StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"), Path("/x"))
    assert late.message == "no answer on /x in time"


async def test_what_the_server_refuses_is_raised_from_the_block(tmp_path: Path) -> None:
    path = tmp_path / "x"
    server = aio.server()
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    try:
        with pytest.raises(Exception, match="Method not found"):
            async with connect(path) as channel:
                await channel.unary("/no/Method", b"", (), timeout=30)
    finally:
        await server.stop(0)
