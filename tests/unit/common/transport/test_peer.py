import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from assay.errors import UnauthenticatedError
from assay.transport.peer import Process, UnixPeer, start_time


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until its input ends."""
    with subprocess.Popen([sys.executable, "-SEc", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as it:
        yield it


def test_a_unix_peer_is_the_process_that_connected() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = UnixPeer.of(ours)
        assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.getuid(), os.getgid())
        assert peer.process.alive()
        peer.close()


def test_a_process_is_dead_once_it_exits_though_its_descriptor_is_open(child: subprocess.Popen[bytes]) -> None:
    process = Process.open(child.pid)
    assert process.alive()
    child.communicate()
    assert process.fd >= 0
    assert not process.alive()
    process.close()


def test_a_zombie_is_dead(child: subprocess.Popen[bytes]) -> None:
    process = Process.open(child.pid)
    assert child.stdin
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not process.alive()
    assert start_time(child.pid) is None
    process.close()


def test_without_a_pidfd_the_start_time_tells_processes_apart(child: subprocess.Popen[bytes]) -> None:
    started = start_time(child.pid)
    assert started is not None
    assert Process(child.pid, -1, started).alive()
    assert not Process(child.pid, -1, started - 1).alive(), "another process has the number now"
    child.communicate()
    assert not Process(child.pid, -1, started).alive()


def test_a_process_that_is_gone_cannot_be_opened(child: subprocess.Popen[bytes]) -> None:
    child.communicate()
    with pytest.raises(UnauthenticatedError, match="has exited"):
        Process.open(child.pid)


def test_a_closed_process_is_not_alive_and_closing_again_does_nothing() -> None:
    process = Process.open(os.getpid())
    fd = process.fd
    process.close()
    assert not process.alive()
    with pytest.raises(OSError):
        os.fstat(fd)
    process.close()


def test_a_kernel_without_peer_pidfds_falls_back_to_the_number() -> None:
    # A TCP connection knows no peer process, as an old kernel knows no SO_PEERPIDFD.
    with socket.socket() as connection:
        process = Process.of_peer(connection, os.getpid())
    assert process.alive()
    assert process.start_time == start_time(os.getpid())
    process.close()


def test_start_time_survives_a_hostile_program_name(child: subprocess.Popen[bytes]) -> None:
    name = b"x) Z (1 2"
    code = f"open('/proc/self/comm', 'wb').write({name!r}); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-SEc", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as hostile:
        assert hostile.stdout
        hostile.stdout.readline()
        mine, its = start_time(child.pid), start_time(hostile.pid)
        assert mine is not None
        assert its is not None
        assert its >= mine
        hostile.communicate()


def test_a_peer_that_exited_before_it_was_looked_at_is_refused(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("s") / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
        subprocess.run([sys.executable, "-SEc", code], check=True)
        connection, _ = listening.accept()
        # Linux 6.16 hands out pidfds of the dead as well.
        with connection, contextlib.suppress(UnauthenticatedError):
            peer = UnixPeer.of(connection)
            alive = peer.process.alive()
            peer.close()
            assert not alive
