"""The connection to a server's admin socket."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from assay.errors import AssayError, PermissionDeniedError, UnavailableError
from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.rpc.status import EndError, StatusCode
from assay.wire.status import WITH_HINTS, refusal
from assay.workloadapi.address import Endpoint

# Seconds that a command waits for an answer.
TIMEOUT = 30.0

T = TypeVar("T")


@asynccontextmanager
async def connect(path: Path) -> AsyncGenerator[Channel]:
    """A channel; what the server refuses within the block is raised as an AssayError.

    Raises:
        UnavailableError: no server listens there.
        PermissionDeniedError: this user may not use the socket, or the server refuses.
        AssayError: the server's refusal.
    """
    check_listening(path, "server", "start one with `assay server run`")
    channel = dial(path)
    try:
        yield channel
    except EndError as error:
        raise translated(error, path) from None
    finally:
        await channel.close()


def dial(path: Path) -> Channel:
    """A channel to whoever listens on that socket."""
    return Channel(Endpoint.of_path(path).connect, max_message=MAX_MESSAGE_BYTES, metadata=WITH_HINTS)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work to its end."""
    return asyncio.run(work)


def translated(error: EndError, path: Path) -> AssayError:
    """A refusal in our own terms."""
    if error.code is StatusCode.DEADLINE_EXCEEDED:
        return UnavailableError(f"no answer on {path} in time")
    return refusal(error.code, error.message)


def check_listening(path: Path, who: str, start: str) -> None:
    """Find out at once, and in plain words, whether anybody listens on a Unix socket.

    Raises:
        UnavailableError: nobody does.
        PermissionDeniedError: this user may not connect.
    """
    hint = f"{start}, or name its socket with --socket-path"
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            raise UnavailableError(f"no {who} is running: {path} does not exist", hint=hint) from None
        except ConnectionRefusedError:
            raise UnavailableError(f"no {who} is running: nobody listens on {path}", hint=hint) from None
        except PermissionError:
            who_may = "be its user, or in its group"
            raise PermissionDeniedError(f"this user may not connect to {path}", hint=who_may) from None
        except OSError as error:
            raise UnavailableError(f"could not connect to {path}: {error.strerror or error}") from None
