"""Traces: the port, and the tracer of the call or task that runs; by default there is none, and nothing is done."""

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from enum import Enum, auto
from typing import Protocol, TypeAlias

from assay.errors import AssayError
from assay.rpc.status import EndError, Metadata, StatusCode

Value: TypeAlias = str | int | bool | tuple[str, ...]
Attributes: TypeAlias = Mapping[str, Value]

TASK = "assay.task_id"
"""What a span says of the task that it is about, whoever answers; the same ID is in its tokens and its events."""
DECISION = "assay.decision_id"
CREDENTIAL = "assay.credential_id"

SYSTEM, SERVICE, METHOD, STATUS = "rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code"


class Kind(Enum):
    """Which side of a call a span is, or neither."""

    INTERNAL = auto()
    SERVER = auto()
    CLIENT = auto()


class Span(Protocol):
    """Something that takes time. What it is told must hold no token and no key."""

    def put(self, name: str, value: Value) -> None:
        """Say something of it."""
        ...

    def fail(self) -> None:
        """Say that it did not do what it was to do."""
        ...


class Tracer(Protocol):
    """Makes spans, each within the one that is current where it begins."""

    def span(
        self, name: str, attributes: Attributes, kind: Kind = Kind.INTERNAL, caller: Metadata | None = None
    ) -> AbstractContextManager[Span]:
        """A span, current until it ends. With `caller`, what came with a call, it continues that caller's trace."""
        ...

    def carrier(self) -> Metadata:
        """What has the server of a call continue this trace."""
        ...

    def current(self) -> Span:
        """The span that is current."""
        ...


class _Nothing:
    """A span that nobody looks at."""

    def put(self, name: str, value: Value) -> None:
        """Forget it."""

    def fail(self) -> None:
        """Forget it."""


_NO_SPAN: Span = _Nothing()
NOTHING: AbstractContextManager[Span] = nullcontext(_NO_SPAN)
"""What is held where nothing is measured."""
_tracer: ContextVar[Tracer | None] = ContextVar("tracer", default=None)


def use(tracer: Tracer | None) -> None:
    """Have what the running task does traced, and the tasks that it starts from now on."""
    _tracer.set(tracer)


def traced() -> bool:
    """Whether what the running task does is traced."""
    return _tracer.get() is not None


def span(name: str, attributes: Attributes = {}) -> AbstractContextManager[Span]:  # noqa: B006 - nobody changes it
    """A part of what is traced; nothing where nothing is."""
    tracer = _tracer.get()
    return NOTHING if tracer is None else _failing(tracer, name, attributes)


def serving(name: str, attributes: Attributes = {}) -> AbstractContextManager[Span]:  # noqa: B006 - nobody changes it
    """A request that is answered, of a caller whose trace is not continued; nothing where nothing is traced."""
    tracer = _tracer.get()
    return NOTHING if tracer is None else tracer.span(name, attributes, Kind.SERVER, ())


def note(name: str, value: Value) -> None:
    """Say something of the span that is current, if there is one."""
    tracer = _tracer.get()
    if tracer is not None:
        tracer.current().put(name, value)


def calling(path: str) -> AbstractContextManager[Span]:
    """A call that is made of `/Service/Method`; nothing where nothing is traced."""
    tracer = _tracer.get()
    return NOTHING if tracer is None else _called(tracer, path)


def carried() -> Metadata:
    """What to send with a call, so that its server continues the trace."""
    tracer = _tracer.get()
    return () if tracer is None else tracer.carrier()


def names_of(path: str) -> dict[str, Value]:
    """What a span says of the RPC that it is about."""
    service, _, method = path[1:].rpartition("/")
    return {SYSTEM: "grpc", SERVICE: service, METHOD: method}


def ending_of(error: BaseException) -> StatusCode:
    """The gRPC status that stands for an exception."""
    if isinstance(error, AssayError):
        return StatusCode[error.kind.name]
    if isinstance(error, EndError):
        return error.code
    return StatusCode.UNKNOWN if isinstance(error, Exception) else StatusCode.CANCELLED


@contextmanager
def _failing(tracer: Tracer, name: str, attributes: Attributes) -> Generator[Span]:
    with tracer.span(name, attributes) as made:
        try:
            yield made
        except Exception:
            made.fail()
            raise


@contextmanager
def _called(tracer: Tracer, path: str) -> Generator[Span]:
    with tracer.span(path[1:], names_of(path), Kind.CLIENT) as made:
        code = StatusCode.OK
        try:
            yield made
        except BaseException as error:
            code = ending_of(error)
            raise
        finally:
            made.put(STATUS, int(code))
            if code is not StatusCode.OK:
                made.fail()
