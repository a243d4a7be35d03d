"""assay.status.v1.AgentStatus: what agents are told of credentials, and what verifiers behind them hold and report."""

import asyncio
from collections.abc import AsyncIterator

import structlog

from assay.clock import Clock
from assay.errors import AssayError, InvalidArgumentError
from assay.rpc.method import Context
from assay.spiffeid import SpiffeId
from assay.status.parts import parts
from assay_proto.status.v1 import status_pb2 as pb
from assay_server.authorization.agent import check_agent
from assay_server.authorization.caller import caller_id, current_caller
from assay_server.authorization.index import AuthorizedEntries
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.model.governed.principal import INSTANCE
from assay_server.status.feed import Listener, StatusFeed
from assay_server.status.reporting import Take

log = structlog.get_logger(__name__)

_UNSENT = 64
"""Answers to reports that wait for the agent to read; until it does no more is heard."""


class AgentStatusApi:
    """The service."""

    def __init__(self, feed: StatusFeed, authorized: AuthorizedEntries, store: Store, clock: Clock, take: Take) -> None:
        self._feed = feed
        self._authorized = authorized
        self._store = store
        self._clock = clock
        self._take = take

    async def Watch(
        self, requests: AsyncIterator[pb.AgentMessage], context: Context
    ) -> AsyncIterator[pb.StatusMessage]:
        """Tell the agent what it lacks and then what comes, for as long as it has its right.

        Raises:
            InvalidArgumentError: the agent does not begin with what it holds.
            PermissionDeniedError: the SVID that opened the stream is no longer its agent's.
        """
        start = await _start(requests)
        position, incarnation = start.position, start.incarnation
        taken: asyncio.Queue[pb.ReportsTaken] = asyncio.Queue(_UNSENT)
        with self._feed.listener() as listener:
            hearing = asyncio.ensure_future(self._hear(requests, listener, taken))  # noqa: TID251 - ended below
            hearing.add_done_callback(lambda _: listener.wake())
            try:
                while not hearing.done():
                    while not taken.empty():
                        yield pb.StatusMessage(taken=taken.get_nowait())
                    told = self._feed.due(listener, position, incarnation)
                    if told is None:
                        await listener.wait()
                        continue
                    await self._check_agent()
                    for part in parts(told):
                        yield pb.StatusMessage(update=part)
                        await context.turn()
                    position, incarnation = told.position, told.incarnation
                hearing.result()
            finally:
                hearing.cancel()
                await asyncio.wait([hearing])

    async def _hear(
        self, requests: AsyncIterator[pb.AgentMessage], listener: Listener, taken: "asyncio.Queue[pb.ReportsTaken]"
    ) -> None:
        async for message in requests:
            match message.WhichOneof("message"):
                case "held":
                    listener.hold(message.held.position, message.held.verifiers, message.held.confirmed)
                case "reports":
                    last = await self._taken(message.reports)
                    await taken.put(pb.ReportsTaken(reporter=message.reports.reports.reporter, last=last))
                    listener.wake()
                case _:
                    raise InvalidArgumentError("stream has begun already")

    async def _taken(self, said: pb.AgentReports) -> int:
        """The number of the last report that is written down; 0 if these are not: the agent has no such workload."""
        agent = caller_id()
        entry = await self._authorized.authorized(agent, said.entry_id)
        verifier = entry.spiffe_id if entry else None
        if entry is not None and entry.instance_from:
            verifier = await self._store.read(lambda tx: _instance(tx, agent, entry.id, said.instance))
        if verifier is None:
            log.warning("Reports of a workload that this agent has no entry for", agent=str(agent), entry=said.entry_id)
            return 0
        try:
            return await self._take(said.reports.reporter, verifier, said.reports.first, said.reports.reports)
        except AssayError as error:
            # One verifier's fault is not to end what the others hear.
            log.warning("Reports are not taken", agent=str(agent), verifier=str(verifier), error=str(error))
            return 0

    async def _check_agent(self) -> None:
        credential = current_caller().credential
        if credential is not None:
            view = await self._authorized.view(credential.spiffe_id)
            check_agent(credential, view.node, self._clock.now().timestamp())


async def _start(requests: AsyncIterator[pb.AgentMessage]) -> pb.Start:
    first = await anext(requests, None)
    if first is None or first.WhichOneof("message") != "start":
        raise InvalidArgumentError("the first message says what is held")
    return first.start


def _instance(tx: Transaction, agent: SpiffeId, entry_id: str, value: str) -> SpiffeId | None:
    # Two hosts may have copies with the same value.
    known, _ = tx.governed.find(INSTANCE, [("entry", entry_id), ("node", str(agent))], Page())
    return next((SpiffeId.parse(one.spiffe_id) for one in known if one.value == value), None)
