import fcntl
import json
import os
import socket
import stat
from pathlib import Path

import pytest

from assay.cli.up.state import State, opened
from assay.config.source import read
from assay.errors import FailedPreconditionError
from assay_agent.config.load import load as load_agent
from assay_server.config.load import load as load_server


def folder_of(path: Path) -> Path:
    return path / "state"


def test_a_new_folder_is_example_org_on_a_free_port(tmp_path: Path) -> None:
    with opened(folder_of(tmp_path), None) as state:
        assert state.kept.trust_domain == "example.org"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", state.kept.port))
        assert state.admin_socket == tmp_path / "state" / "admin" / "api.sock"
        assert state.workload_socket == tmp_path / "state" / "api.sock"
    assert (tmp_path / "state" / ".gitignore").read_text() == "*\n"


def test_the_next_run_goes_on_with_what_is_there(tmp_path: Path) -> None:
    with opened(folder_of(tmp_path), "prod.example") as state:
        first = state.kept
    with opened(folder_of(tmp_path), None) as state:
        assert state.kept == first
    with opened(folder_of(tmp_path), "prod.example") as state:
        assert state.kept == first


def test_a_port_that_somebody_took_is_given_up(tmp_path: Path) -> None:
    with opened(folder_of(tmp_path), None) as state:
        port = state.kept.port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with opened(folder_of(tmp_path), None) as state:
            assert state.kept.port != port
            second = state.kept.port
    with opened(folder_of(tmp_path), None) as state:
        assert state.kept.port == second


def test_another_trust_domain_needs_another_folder(tmp_path: Path) -> None:
    with opened(folder_of(tmp_path), "a.example"):
        pass
    with pytest.raises(FailedPreconditionError, match=r"is of trust domain a\.example; use another folder"):
        opened(folder_of(tmp_path), "b.example").__enter__()


def test_a_bad_trust_domain_is_refused_and_leaves_nothing_kept(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="lowercase"):
        opened(folder_of(tmp_path), "Bad").__enter__()
    assert not (tmp_path / "state" / "state.json").exists()


def test_two_at_once_say_so(tmp_path: Path) -> None:
    with opened(folder_of(tmp_path), None), (tmp_path / "state" / "lock").open() as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(FailedPreconditionError, match=rf"another `assay up` \(process {os.getpid()}\) is running"):
            opened(folder_of(tmp_path), None).__enter__()
    with opened(folder_of(tmp_path), None):
        pass


def test_damaged_state_is_said_and_left_alone(tmp_path: Path) -> None:
    folder_of(tmp_path).mkdir()
    path = tmp_path / "state" / "state.json"
    path.write_text('{"port": ')
    with pytest.raises(FailedPreconditionError, match=r"state\.json is damaged; delete the folder"):
        opened(folder_of(tmp_path), None).__enter__()
    assert path.read_text() == '{"port": '


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(FailedPreconditionError, match=r"cannot use .*; use another folder with --state"):
        opened(folder_of(tmp_path), None).__enter__()


def test_sockets_move_when_their_paths_would_be_too_long(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    with opened(deep, None) as state:
        runtime = Path(state.kept.runtime)
        assert len(bytes(state.admin_socket)) <= 107
        assert state.workload_socket.parent == runtime
        assert stat.S_IMODE(runtime.stat().st_mode) == 0o755
        state.admin_socket.parent.mkdir()
        state.admin_socket.touch()  # as of a daemon that was killed
    assert not runtime.exists()
    with opened(deep, None) as state:
        assert state.kept.runtime == str(runtime)
        assert runtime.is_dir()
    assert not runtime.exists()


def test_the_longest_path_that_fits_stays(tmp_path: Path) -> None:
    room = 107 - len(bytes(tmp_path / "x" / "admin" / "api.sock")) + 1
    with opened(tmp_path / ("x" * room), None) as state:
        assert state.kept.runtime == ""
        assert len(bytes(state.admin_socket)) == 107
    with opened(tmp_path / ("x" * (room + 1)), None) as state:
        assert state.kept.runtime


def test_the_daemons_files_are_private_and_load(tmp_path: Path) -> None:
    with opened(folder_of(tmp_path), None) as state:
        server, agent = state.write_server_config("DEBUG"), state.write_agent_config("INFO")
        assert stat.S_IMODE(server.stat().st_mode) == stat.S_IMODE(agent.stat().st_mode) == 0o600
        server_config, agent_config = load_server(read(server)), load_agent(read(agent))
        assert (server_config.warnings, agent_config.warnings) == ((), ())
        assert server_config.config.bind_port == agent_config.config.server_port == state.kept.port
        assert server_config.config.socket_path == state.admin_socket
        assert agent_config.config.socket_path == state.workload_socket


def test_whether_the_agent_has_been_there(tmp_path: Path) -> None:
    with opened(folder_of(tmp_path), None) as state:
        assert not state.has_agent_svid()
        (state.folder / "agent").mkdir()
        (state.folder / "agent" / "agent-data.json").write_text("{}")
        assert state.has_agent_svid()


def test_what_is_kept_is_json(tmp_path: Path) -> None:
    with opened(folder_of(tmp_path), None) as state:
        kept = json.loads((tmp_path / "state" / "state.json").read_text())
        assert State(state.folder, state.kept).kept.port == kept["port"]
