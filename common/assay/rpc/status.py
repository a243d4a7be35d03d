"""Status codes by their numbers, and how a call ends with one."""

from enum import IntEnum
from typing import Final, Protocol


class StatusCode(IntEnum):
    """gRPC's status codes."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Named(Protocol):
    """What the enumeration of another gRPC library has in common with ours."""

    @property
    def name(self) -> str:
        """The code's name, which all libraries spell alike."""
        ...


Metadata = tuple[tuple[str, str | bytes], ...]

# Bytes of grpc-message as it is sent: clients refuse headers that are too long, and with them the status.
MAX_MESSAGE: Final = 4096


class EndError(Exception):
    """Raised within a handler, the call ends with this status."""

    def __init__(self, code: StatusCode, message: str = "", trailers: Metadata = ()) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.trailers = trailers

    def again(self) -> "EndError":
        """The same to be raised: one that is kept would keep the frames it is raised through."""
        return EndError(self.code, self.message, self.trailers)


def code_of(code: Named) -> StatusCode:
    """Our code for a code of ours or another library's."""
    return code if isinstance(code, StatusCode) else StatusCode[code.name]


def undecodable() -> EndError:
    """How a call ends whose request is no message of its method, in the words of gRPC's Go library."""
    words = "proto: cannot parse invalid wire-format data"
    return EndError(StatusCode.INTERNAL, f"grpc: error unmarshalling request: {words}")


def percent_encoded(message: str) -> bytes:
    """A message as grpc-message carries it: printable ASCII but `%` as it is, all else as bytes of UTF-8 in hex.

    What is longer than MAX_MESSAGE is cut between characters.
    """
    if message.isascii() and message.isprintable() and "%" not in message:
        return message[:MAX_MESSAGE].encode()
    out = b""
    for character in message[:MAX_MESSAGE]:
        more = _percent_encoded(character)
        if len(out) + len(more) > MAX_MESSAGE:
            break
        out += more
    return out


def _percent_encoded(character: str) -> bytes:
    raw = character.encode(errors="replace")
    return (
        raw
        if character.isascii() and character.isprintable() and character != "%"
        else b"".join(b"%%%02X" % one for one in raw)
    )
