"""What interceptors for task tokens of both kinds decide alike."""

import logging
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

import grpc

from assay.clock import Clock, SystemClock
from assay.errors import InvalidArgumentError, UnauthenticatedError
from assay.rpcauth.rules import AUTHORIZATION, Rules
from assay.svid.refusal import Reason, RefusedError, SvidRefusedError
from assay.tasktoken import Certificate, DpopProof, Presented, TaskTokenVerifier
from assay.tasktoken.call import Reporter, TaskCall, refused_call, trace_id_of
from assay.tasktoken.refusal import NotAllowedError
from assay.tasktoken.report import Outcome
from assay.tasktoken.token import TaskToken

METHOD = "POST"
"""What a gRPC call is to a DPoP proof; its `htu` is the service's address and the method's path."""

_REFUSED = frozenset({grpc.StatusCode.PERMISSION_DENIED.value[0], grpc.StatusCode.UNAUTHENTICATED.value[0]})

CURRENT: ContextVar[TaskCall] = ContextVar("assay.rpcauth task")

log = logging.getLogger("assay.rpcauth")


def current_task() -> TaskCall:
    """The call that this code handles, and the token it is made with.

    Raises:
        UnauthenticatedError: no call that came through an interceptor, or its method is open to everyone.
    """
    found = CURRENT.get(None)
    if found is None:
        raise UnauthenticatedError("no task is known of this call", hint="has the server its TaskTokenInterceptor?")
    return found


@dataclass(frozen=True, slots=True)
class Examined:
    """A token that is the issuer's, for a call; nobody has proven yet that it is the caller's."""

    method: str
    text: str
    token: TaskToken
    proof: DpopProof | None
    trace_id: str


class TaskRules:
    """Judges calls.

    Args:
        verifier: judges tokens.
        actions: the action of each method, `/package.Service/Method`; others are refused.
        url: this service's own address, as in proofs; without it DPoP is not taken.
        understands: the constraints that the handlers keep.
        reporter: has the use of tokens written down; None: nobody.
        public: methods that everyone may call.
        clock: what time it is; the machine's if None.

    Raises:
        InvalidArgumentError: a method is not written like that, or has no action.
    """

    def __init__(
        self,
        verifier: TaskTokenVerifier,
        actions: Mapping[str, str],
        *,
        url: str = "",
        understands: Collection[str] = (),
        reporter: Reporter | None = None,
        public: Collection[str] = (),
        clock: Clock | None = None,
    ) -> None:
        self._public = Rules(None, public).public
        Rules(None, actions)
        if nameless := next((method for method, action in actions.items() if not action), None):
            raise InvalidArgumentError(f'"{nameless}" has no action')
        self._verifier = verifier
        self._actions = dict(actions)
        self._url = url.rstrip("/")
        self._understands = frozenset(understands)
        self._reporter = reporter
        self._clock = clock or SystemClock()

    def public(self, method: str | None) -> bool:
        """Whether everyone may call that."""
        return self._public(method)

    def examine(self, details: grpc.HandlerCallDetails) -> Examined:
        """The call's token, before a byte of the request is read.

        Raises:
            SvidRefusedError: there is none, or none of the issuer's.
        """
        method = str(details.method)
        values: dict[str, list[str]] = {}
        for key, value in details.invocation_metadata or ():
            values.setdefault(key, []).append(value if isinstance(value, str) else value.decode("latin-1"))
        text, proof = self._presented(method, values)
        trace_id = trace_id_of(next(iter(values.get("traceparent", ())), ""))
        return Examined(method, text, self._verifier.examine(text), proof, trace_id)

    def admit(self, examined: Examined, certificate: Callable[[], bytes | None]) -> TaskCall:
        """The call, once all is proven; `certificate` is the connection's, if it has one (DER).

        Raises:
            RefusedError: it may not be made.
        """
        action = self._actions.get(examined.method, "")
        try:
            if not action:
                why = f"method {examined.method} is no action that is known here"
                raise NotAllowedError(Reason.ACTION_NOT_ALLOWED, why, examined.token)
            presented = examined.proof or _shown(certificate())
            token = self._verifier.admit(
                examined.token, examined.text, presented, action, understands=self._understands
            )
        except RefusedError as refusal:
            refused_call(examined.token, action, refusal, self._reporter, self._clock, examined.trace_id)
            raise
        return TaskCall(token, self._reporter, self._clock, examined.trace_id)

    def _presented(self, method: str, values: Mapping[str, list[str]]) -> tuple[str, DpopProof | None]:
        found = values.get(AUTHORIZATION, [])
        if not found:
            raise SvidRefusedError(Reason.NO_CREDENTIAL, "the call has no task token")
        scheme, _, text = found[0].partition(" ")
        if len(found) > 1 or not text.isascii():
            raise SvidRefusedError(Reason.MALFORMED, "the authorization is not one task token")
        match scheme.lower():
            case "bearer":
                return text.strip(" "), None
            case "dpop" if self._url:
                proofs = values.get("dpop", [])
                if len(proofs) != 1:
                    raise SvidRefusedError(Reason.NO_PROOF, "one DPoP proof is needed")
                return text.strip(" "), DpopProof(proofs[0], METHOD, self._url + method)
            case _:
                raise SvidRefusedError(Reason.MALFORMED, "the authorization is of another scheme")


def _shown(der: bytes | None) -> Presented:
    return None if der is None else Certificate(der)


def report_end(call: TaskCall, code: object, error: BaseException | None) -> None:
    """Report how a call ended: `code` is what grpc's context has, a code, its number or None."""
    number = code.value[0] if isinstance(code, grpc.StatusCode) else code
    if error is None and not number:
        call.tool_use()
    elif number in _REFUSED:
        call.tool_use(Outcome.REFUSED, reason=grpc_name(number))
    else:
        call.tool_use(Outcome.FAILED, reason=grpc_name(number) or type(error).__name__)


def grpc_name(number: object) -> str:
    """The name of a status code by its number; empty for what is none, or OK."""
    return next((one.name for one in grpc.StatusCode if one.value[0] == number and number), "")
