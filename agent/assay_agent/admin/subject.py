"""For whom a delegate asks: a process, or selectors that the delegate vouches for."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from assay.errors import AssayError, InvalidArgumentError, UnauthenticatedError, UnavailableError
from assay.selector import Selector
from assay.transport.peer import Process
from assay.wire import selector as selector_wire
from assay_agent.workload.attestor import Attestor
from assay_proto.spire.api.types import selector_pb2

log = structlog.get_logger(__name__)

MAX_SELECTORS = 1000
"""In one request: more than any workload has, and few enough to look through at once."""


@dataclass(frozen=True, slots=True)
class _Pid:
    pid: int
    process: Process


@dataclass(frozen=True, slots=True)
class Subject:
    """A workload. `process` is held from before it was attested, if the delegate named one."""

    selectors: frozenset[Selector]
    process: Process | None = None

    def check_alive(self) -> None:
        """Raise UnavailableError when the process has ended: its number may be another's by now."""
        if self.process is not None and not self.process.alive():
            log.error("Delegated workload has exited", pid=self.process.pid)
            raise UnavailableError("workload attestation failed")


class Subjects:
    """Makes subjects of requests."""

    def __init__(self, attestor: Attestor) -> None:
        self._attestor = attestor

    @contextmanager
    def process(self, pid: int) -> Generator[Process | None]:
        """The process of that number (None for 0: the request names none), held until the end.

        Raises:
            UnavailableError: there is none.
        """
        if not pid:
            yield None
            return
        process = _opened(pid)
        try:
            yield process
        finally:
            process.close()

    async def of(self, process: Process | None, selectors: Iterable[selector_pb2.Selector]) -> Subject:
        """The subject that a request names by one or the other.

        Raises:
            InvalidArgumentError: by neither or both, or selectors that are none.
            UnavailableError: the process could not be attested.
        """
        if process is None:
            return Subject(_parsed(selectors))
        try:
            return Subject(await self._attestor.attest(_Pid(process.pid, process)), process)
        except AssayError as error:
            raise _failed(error) from error


def check_one(pid: int, selectors: int) -> None:
    """Raise InvalidArgumentError unless a request names either a PID or selectors, of which it has so many."""
    if bool(pid) == bool(selectors):
        log.error("Invalid argument; must provide either selectors or non-zero PID, but not both")
        raise InvalidArgumentError("must provide either selectors or non-zero PID, but not both")


def _opened(pid: int) -> Process:
    try:
        return Process.open(pid)
    except UnauthenticatedError as error:
        raise _failed(error) from error
    except OSError as error:
        raise _failed(UnavailableError(error.strerror or str(error))) from error


def _parsed(messages: Iterable[selector_pb2.Selector]) -> frozenset[Selector]:
    found = list(messages)
    if len(found) > MAX_SELECTORS:
        raise InvalidArgumentError(f"too many selectors: {len(found)}, at most {MAX_SELECTORS}")
    try:
        return frozenset(map(selector_wire.from_proto, found))
    except InvalidArgumentError as error:
        log.error("Invalid argument; could not parse provided selectors", error=str(error))  # noqa: TRY400 - a refusal
        raise InvalidArgumentError("could not parse provided selectors") from error


def _failed(error: AssayError) -> UnavailableError:
    log.error("Workload attestation failed", error=str(error))
    return UnavailableError("workload attestation failed")
