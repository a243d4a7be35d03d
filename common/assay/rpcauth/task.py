"""The interceptor for task tokens, for servers of grpc.aio.

    interceptor = TaskTokenInterceptor(verifier, {"/crm.Tickets/Read": "crm.read"}, url="https://crm.example")
    server = grpc.aio.server(interceptors=[interceptor])

In a handler `current_task()` is the call and its token.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import grpc
import grpc.aio
from cryptography.hazmat.primitives.serialization import Encoding

from assay.clock import Clock
from assay.rpcauth.refusal import refusal
from assay.rpcauth.server import guarded, guarded_unknown, refusing, tls_peer
from assay.rpcauth.taskrules import CURRENT, Examined, TaskRules, current_task, report_end
from assay.tasktoken import TaskTokenVerifier
from assay.tasktoken.call import Learning, Reporter, TaskCall
from assay.transport.front import Front

__all__ = ["TaskTokenInterceptor", "current_task"]

# Servicer contexts and handlers are as the user's generated code has them.
Handler = Any
Context = Any


class TaskTokenInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc, unused-ignore]
    """Lets pass calls with a task token that is their caller's, still counts, and allows the method's action.

    A token comes in `authorization`, as `DPoP` with a proof in `dpop`, or as `Bearer` on a connection of `serve_tls`
    with the certificate that it is bound to. The arguments are those of `TaskRules`; `learning` is asked before a
    token is judged, for sources of status that do not hold everything.

    Refused are: UNAUTHENTICATED, tokens that are none, not the caller's, or ended; PERMISSION_DENIED, methods that they
    do not allow or that have no action; UNAVAILABLE, all whose status cannot be learnt. The reason is in the trailer
    `assay-reason`. Handlers have to be coroutines or asynchronous generators.
    """

    def __init__(
        self,
        verifier: TaskTokenVerifier,
        actions: Mapping[str, str],
        *,
        url: str = "",
        understands: Collection[str] = (),
        reporter: Reporter | None = None,
        learning: Learning | None = None,
        public: Collection[str] = (),
        clock: Clock | None = None,
    ) -> None:
        self._learning = learning
        self._rules = TaskRules(
            verifier, actions, url=url, understands=understands, reporter=reporter, public=public, clock=clock
        )
        self._front: Front | None = None

    def use(self, front: Front) -> None:
        """Know peers by that front; `serve_tls` does this."""
        self._front = front

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """As grpc has it."""
        method = str(handler_call_details.method)
        handler = await continuation(handler_call_details)
        if self._rules.public(method):
            return handler
        try:
            examined = self._rules.examine(handler_call_details)
            if self._learning is not None:
                await self._learning.learn(examined.token)
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody gets in by it
            return refusing(refusal(error, method))
        return self._guarded(method, handler, examined)

    def _guarded(self, method: str, handler: Handler, examined: Examined) -> Handler:
        # Not looked up at the end, which a stream that nobody reads any more may meet elsewhere.
        calls: list[TaskCall] = []

        def admit(context: Context) -> None:
            calls.append(self._rules.admit(examined, lambda: self._certificate(context)))
            CURRENT.set(calls[0])

        def ended(context: Context, error: BaseException | None) -> None:
            report_end(calls[0], context.code(), error)

        if handler is None:
            return guarded_unknown(method, admit)
        return guarded(method, handler, admit, ended)

    def _certificate(self, context: Context) -> bytes | None:
        peer = tls_peer(self._front, context)
        return peer.chain[0].public_bytes(Encoding.DER) if peer is not None and peer.chain else None
