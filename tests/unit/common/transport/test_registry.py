import os

import pytest

from assay.errors import UnauthenticatedError
from assay.transport.peer import Process, TlsPeer, UnixPeer
from assay.transport.registry import Registry


def test_a_peer_is_found_by_the_address_grpc_writes() -> None:
    registry = Registry()
    peer = TlsPeer("192.0.2.1:1000")
    registry.add("abc", peer)
    assert registry.find("unix-abstract:abc") is peer
    assert len(registry) == 1


@pytest.mark.parametrize("address", ["unix:", "unix-abstract:", "unix-abstract:other", "abc", "ipv4:127.0.0.1:1", ""])
def test_every_other_address_is_refused(address: str) -> None:
    registry = Registry()
    registry.add("abc", TlsPeer("192.0.2.1:1000"))
    with pytest.raises(UnauthenticatedError):
        registry.find(address)


def test_a_removed_name_is_refused_and_its_process_let_go() -> None:
    registry = Registry()
    process = Process.open(os.getpid())
    registry.add("abc", UnixPeer(process.pid, 0, 0, process))
    registry.remove("abc")
    registry.remove("abc")
    with pytest.raises(UnauthenticatedError):
        registry.find("unix-abstract:abc")
    assert process.fd == -1
