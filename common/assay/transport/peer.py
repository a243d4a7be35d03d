"""Who is at the other end of a connection."""

import contextlib
import errno
import os
import select
import socket
import struct
from collections.abc import Hashable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TypeAlias

from cryptography import x509

from assay.errors import UnauthenticatedError
from assay.spiffeid import SpiffeId

# Linux 6.5 and later. Python 3.11's socket module has no name for it, so its number serves.
SO_PEERPIDFD = 77

_CREDENTIALS = struct.Struct("3i")
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE})


class Process:
    """A process that stays the same one however its number is reused, until `close`.

    The kernel's own handle for the peer (SO_PEERPIDFD) cannot name another process. Where it is refused, the handle
    is opened by number, and the start time tells whether the number still means the process first seen.
    """

    __slots__ = ("_closed", "_fd", "_poll", "pid", "start_time")

    def __init__(self, pid: int, fd: int, start_time: int | None) -> None:
        """Take over `fd`, a pidfd or -1; `start_time` is None where the pidfd alone is proof enough."""
        self.pid = pid
        self.start_time = start_time
        self._closed = False
        self._fd = fd
        self._poll = select.poll()
        if fd >= 0:
            self._poll.register(fd, select.POLLIN)

    @classmethod
    def of_peer(cls, connection: socket.socket, pid: int) -> "Process":
        """The process that connected.

        Raises:
            UnauthenticatedError: it has exited.
        """
        try:
            return cls(pid, connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD), None)
        except ProcessLookupError:
            raise _gone(pid) from None
        except OSError:
            return cls.open(pid)

    @classmethod
    def open(cls, pid: int) -> "Process":
        """The process that has that number now.

        Raises:
            UnauthenticatedError: there is none.
        """
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            raise _gone(pid) from None
        except OSError as error:
            # Out of descriptors is the caller's matter; a kernel or sandbox without pidfds leaves the start time.
            if error.errno in _EXHAUSTED:
                raise
            fd = -1
        started = start_time(pid)
        if started is None:
            if fd >= 0:
                os.close(fd)
            raise _gone(pid)
        return cls(pid, fd, started)

    @classmethod
    def unseen(cls) -> "Process":
        """One of which nothing can be known from here; it never counts as alive."""
        process = cls(0, -1, None)
        process.close()
        return process

    @property
    def fd(self) -> int:
        """The pidfd; -1 once closed, or where the kernel has none."""
        return self._fd

    def alive(self) -> bool:
        """Whether it runs still; a zombie does not. False after `close`: it can no longer be told."""
        if self._closed or (self._fd >= 0 and self._poll.poll(0)):
            return False
        return self.start_time is None or start_time(self.pid) == self.start_time

    def close(self) -> None:
        """Let go of the pidfd."""
        self._closed = True
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._poll.unregister(fd)
            os.close(fd)


def start_time(pid: int, proc: str = "/proc") -> int | None:
    """When that process began, in clock ticks since boot (proc_pid_stat field 22); None if there is no such one."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # The second field is the program's name and may itself hold spaces and parentheses.
        fields = Path(f"{proc}/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if fields[0] in {b"Z", b"X"} else int(fields[19])
    return None


@dataclass(frozen=True, slots=True)
class UnixPeer:
    """A process on this machine, as the kernel names it; `pid` is 0 where it cannot be seen from here."""

    pid: int
    uid: int
    gid: int
    process: Process

    @classmethod
    def of(cls, connection: socket.socket, *, unseen: bool = False) -> "UnixPeer":
        """The peer of an accepted Unix connection; `unseen` takes also one in a PID namespace not seen from here.

        Raises:
            UnauthenticatedError: it has exited, or lives in such a namespace.
        """
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, gid = _CREDENTIALS.unpack(raw)
        if pid <= 0 and unseen:
            return cls(0, uid, gid, Process.unseen())
        if pid <= 0:
            raise UnauthenticatedError(
                "caller's process is in another PID namespace", hint="share the host's PID namespace with this process"
            )
        return cls(pid, uid, gid, Process.of_peer(connection, pid))

    def close(self) -> None:
        """Let go of the process."""
        self.process.close()


@dataclass(frozen=True, slots=True)
class TlsPeer:
    """A TLS client. `chain` is what it presented, leaf first, and is empty for an anonymous one.

    `spiffe_id` is set when there is a chain: a chain that does not verify ends the connection.
    """

    address: str
    chain: tuple[x509.Certificate, ...] = ()
    spiffe_id: SpiffeId | None = None

    def close(self) -> None:
        """Nothing is held."""


Peer: TypeAlias = UnixPeer | TlsPeer


def uid_of(connection: socket.socket) -> int:
    """The user at the other end of an accepted Unix connection."""
    return whence_of(connection)[0]


def whence_of(connection: socket.socket) -> tuple[int, int]:
    """The user at the other end of an accepted Unix connection, and the number of its process."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(raw)
    return uid, pid


def caller_of(peer: Peer) -> tuple[Hashable, Hashable]:
    """Who shares with itself, when callers get the same: a user and in that a process, an identity, or an address."""
    if isinstance(peer, UnixPeer):
        return peer.uid, peer.pid
    return peer.spiffe_id or neighbourhood(peer.address), None


def neighbourhood(address: str) -> str:
    """Of `host:port` the host, or the network of 64 bits that a host on IPv6 has to itself."""
    host = address.rpartition(":")[0]
    return str(ip_network((host.strip("[]").partition("%")[0], 64), strict=False)) if ":" in host else host


def _gone(pid: int) -> UnauthenticatedError:
    return UnauthenticatedError(f"caller with PID {pid} has exited")
