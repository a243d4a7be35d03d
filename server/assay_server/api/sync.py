"""assay.sync.v1.Sync: an agent's entries and bundles, pushed as they change for as long as its right lasts."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import structlog

from assay.clock import Clock
from assay.errors import PermissionDeniedError
from assay.rpc.method import Context
from assay_proto.sync.v1 import sync_pb2
from assay_server.api.sync_parts import parts
from assay_server.authorization.agent import AgentDeniedError, check_agent
from assay_server.authorization.caller import Credential, current_caller
from assay_server.authorization.index import AuthorizedEntries
from assay_server.authorization.view import Position
from assay_server.model import Node

METHOD = "/assay.sync.v1.Sync/Watch"

log = structlog.get_logger(__name__)


class SyncApi:
    """The Sync service."""

    def __init__(self, authorized: AuthorizedEntries, clock: Clock) -> None:
        self._authorized = authorized
        self._clock = clock

    async def Watch(self, request: sync_pb2.WatchRequest, context: Context) -> AsyncIterator[sync_pb2.WatchResponse]:
        """Send what the caller lacks, then every change; look at its right whenever its node row changes.

        Raises:
            PermissionDeniedError: the SVID that opened the stream has expired or is no longer its agent's.
        """
        credential = current_caller().credential
        if credential is None:
            raise PermissionDeniedError("caller ID missing from request context")
        await context.turn()
        view = await self._authorized.view(credential.spiffe_id)
        updates = view.follow(_position(request), alarm=lambda: self._wait_expired(credential))
        async with aclosing(updates):
            async for update in updates:
                self._check(credential, view.node)
                for number, part in enumerate(parts(update)):
                    yield part
                    if number:
                        await context.turn()

    def _check(self, credential: Credential, node: Node | None) -> None:
        try:
            check_agent(credential, node, self._clock.now().timestamp())
        except AgentDeniedError as denial:
            log.error(denial.log_message, method=METHOD, caller_id=str(credential.spiffe_id))  # noqa: TRY400 - a refusal, no fault
            raise PermissionDeniedError(f"authorization denied for method {METHOD}", reason=denial.reason) from denial

    async def _wait_expired(self, credential: Credential) -> None:
        # A second more, since the SVID is good to the end of its last second.
        await self._clock.sleep(credential.expires_at + 1 - self._clock.now().timestamp())


def _position(request: sync_pb2.WatchRequest) -> Position | None:
    if not request.HasField("position"):
        return None
    return Position(request.position.incarnation, request.position.sequence)
