import socket
from pathlib import Path

import pytest

from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.transport import unix
from assay.transport.unix import UnixSocket


def listen(path: Path, mode: int = 0o770) -> UnixSocket:
    return unix.listen(path, mode=mode, folder_mode=0o755, backlog=4)


def connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o600])
def test_the_file_has_the_mode_asked_for_whatever_the_umask(folder: Path, mode: int) -> None:
    bound = listen(folder / "s", mode)
    with bound.socket:
        assert mode_of(folder / "s") == mode


def test_missing_folders_get_their_mode_and_existing_ones_keep_theirs(folder: Path) -> None:
    folder.chmod(0o701)
    with listen(folder / "a" / "b" / "s").socket:
        assert mode_of(folder / "a") == 0o755
        assert mode_of(folder / "a" / "b") == 0o755
        assert mode_of(folder) == 0o701


def test_what_a_dead_daemon_left_is_replaced(folder: Path) -> None:
    listen(folder / "s").socket.close()
    with listen(folder / "s").socket:
        connect(str(folder / "s"))


def test_a_socket_that_someone_listens_on_is_left_alone(folder: Path) -> None:
    with listen(folder / "s").socket:
        with pytest.raises(FailedPreconditionError, match="another process listens"):
            listen(folder / "s")
        connect(str(folder / "s"))


def test_a_socket_with_a_full_backlog_is_left_alone(folder: Path) -> None:
    path = folder / "s"
    with unix.listen(path, mode=0o600, folder_mode=0o700, backlog=0).socket, socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(str(path))
        with pytest.raises(FailedPreconditionError, match="another process listens"):
            listen(path)


def test_a_file_that_is_no_socket_is_left_alone(folder: Path) -> None:
    (folder / "s").write_text("precious")
    with pytest.raises(FailedPreconditionError, match="is not a socket"):
        listen(folder / "s")
    assert (folder / "s").read_text() == "precious"


def test_a_symbolic_link_is_not_followed(folder: Path) -> None:
    (folder / "s").symlink_to(folder / "elsewhere")
    with pytest.raises(FailedPreconditionError, match="is not a socket"):
        listen(folder / "s")


def test_a_path_longer_than_an_address_works(folder: Path) -> None:
    path = folder / ("d" * 100) / "s"
    bound = listen(path, 0o707)
    with bound.socket:
        assert mode_of(path) == 0o707
        with pytest.raises(FailedPreconditionError, match="another process listens"):
            listen(path)
        bound.remove()
    assert not path.exists()


def test_a_name_longer_than_an_address_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="too long"):
        listen(folder / ("s" * 108))


def test_removing_spares_the_file_of_a_successor(folder: Path) -> None:
    first = listen(folder / "s")
    first.socket.close()
    with listen(folder / "s").socket:
        first.remove()
        connect(str(folder / "s"))


def test_removing_takes_its_own_file_and_may_be_repeated(folder: Path) -> None:
    bound = listen(folder / "s")
    with bound.socket:
        bound.remove()
        bound.remove()
        assert not (folder / "s").exists()
