"""assay.ledger.v1.Ledger: the ledger listed, exported, signed and pruned."""

import json
from collections.abc import AsyncIterator

from assay.clock import Clock
from assay.errors import InvalidArgumentError
from assay.ledger.record import record_line
from assay.rpc.method import Context
from assay_proto.ledger.v1 import ledger_pb2 as pb
from assay_server.api.actor import actor_of
from assay_server.governance.checkpoints import Checkpoints
from assay_server.governance.deed import Deed
from assay_server.governance.ledger import LedgerBook, Wanted
from assay_server.model.governed.ledger import SignedCheckpoint

MOST = 500
"""Records, or checkpoints, in one answer: four MiB are enough for them."""


class LedgerApi:
    """The Ledger service."""

    def __init__(self, book: LedgerBook, checkpoints: Checkpoints, clock: Clock) -> None:
        self._book = book
        self._checkpoints = checkpoints
        self._clock = clock

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """Records, oldest first."""
        size = _size(request.page_size)
        records = await self._book.records(_wanted(request.filter), _after(request.page_token), size)
        token = str(records[-1].number) if len(records) == size else ""
        return pb.ListResponse(records=[record_line(one.body, one.hash) for one in records], next_page_token=token)

    async def Export(self, request: pb.ExportRequest, context: Context) -> AsyncIterator[pb.ExportResponse]:
        """The lines of an export."""
        async for lines in self._book.export(_wanted(request.filter)):
            yield pb.ExportResponse(lines=lines)

    async def ListCheckpoints(self, request: pb.ListCheckpointsRequest, context: Context) -> pb.ListCheckpointsResponse:
        """Checkpoints, oldest first."""
        size = _size(request.page_size)
        found = await self._book.checkpoints(_after(request.page_token), size)
        token = str(found[-1].number) if len(found) == size else ""
        return pb.ListCheckpointsResponse(checkpoints=map(_checkpoint, found), next_page_token=token)

    async def MakeCheckpoint(self, request: pb.MakeCheckpointRequest, context: Context) -> pb.MakeCheckpointResponse:
        """Sign what there is."""
        made = await self._checkpoints.make()
        return pb.MakeCheckpointResponse(checkpoint=_checkpoint(made) if made else None)

    async def Keys(self, request: pb.KeysRequest, context: Context) -> pb.KeysResponse:
        """What to verify with."""
        current = await self._checkpoints.current()
        before = await self._checkpoints.recorded() if request.all else []
        keys = [current, *(key for key in before if key["kid"] != current["kid"])]
        return pb.KeysResponse(jwks=json.dumps({"keys": keys}))

    async def Prune(self, request: pb.PruneRequest, context: Context) -> pb.PruneResponse:
        """Let old records go."""
        if request.before <= 0:
            raise InvalidArgumentError("before must be a time")
        deed = Deed(actor_of(context), int(self._clock.now().timestamp()))
        pruned = await self._book.prune(request.before, deed)
        return pb.PruneResponse(through=pruned.through, records=pruned.records, checkpoints=pruned.checkpoints)


def _wanted(given: pb.Filter) -> Wanted:
    return Wanted(given.task_id, given.principal, given.since)


def _size(given: int) -> int:
    return min(given, MOST) if given > 0 else MOST


def _after(token: str) -> int:
    if not token:
        return 0
    if not (token.isascii() and token.isdigit()) or len(token) > 18:  # noqa: PLR2004 - of a 64-bit number
        raise InvalidArgumentError("page_token is not of an earlier answer")
    return int(token)


def _checkpoint(one: SignedCheckpoint) -> pb.Checkpoint:
    return pb.Checkpoint(number=one.number, at=one.at, token=one.token)
