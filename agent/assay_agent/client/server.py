"""What an agent asks its server."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from assay.bundle import Bundle
from assay.entry import Entry
from assay.errors import AssayError, NotFoundError, UnavailableError
from assay.plugin.nodeattestor import AgentConversation
from assay.spiffeid import TrustDomain
from assay.wire import bundle as bundle_wire
from assay.wire import spiffeid as spiffeid_wire
from assay_agent.client import attest, entries, watch
from assay_agent.client.connection import Connection, Dial, Line
from assay_agent.client.refusal import from_status, refusals
from assay_agent.client.values import (
    AgentSvid,
    EntryChanges,
    InstanceRequest,
    IssuedJwt,
    IssuedWit,
    Position,
    PrincipalJwt,
    Signed,
    WatchUpdate,
)
from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2
from assay_proto.spire.api.server.svid.v1 import svid_pb2

if TYPE_CHECKING:
    from assay_agent.client.status import StatusStreams
    from assay_agent.client.tasks import TaskRelay

TIMEOUT = 30.0  # seconds
BUNDLES_AT_ONCE = 10


class ServerClient:
    """The server's APIs as one agent uses them; an async context manager. Every method raises AssayError on refusal.

    A failure that is not the request's fault is UnavailableError, and the next request dials anew.
    """

    def __init__(self, dial: Dial) -> None:
        self._connection = Connection(dial)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection and what runs on it."""
        await self._connection.close()

    async def renewed(self) -> None:
        """The agent has a new SVID: what comes next uses it, and watch streams end to be opened again."""
        await self._connection.renew()

    async def attest(self, attestor: str, conversation: AgentConversation, csr: bytes) -> AgentSvid:
        """Attest the node; the only request besides `bundle` that needs no SVID."""
        async with self._connection.line() as line:
            return await attest.attest(line.channel, attestor, conversation, csr)

    async def renew(self, csr: bytes) -> tuple[bytes, ...]:
        """A new SVID for an agent that cannot attest again: its chain as DER, leaf first."""
        request = agent_pb2.RenewAgentRequest(params=agent_pb2.AgentX509SVIDParams(csr=csr))
        async with self._connection.line() as line:
            with refusals():
                response = await line.agent.RenewAgent(request, timeout=TIMEOUT)
            if not response.svid.cert_chain:
                raise UnavailableError("failed to parse renewal response: missing SVID")
            return tuple(response.svid.cert_chain)

    async def post_status(self, version: str) -> None:
        """Tell which version the agent runs."""
        async with self._connection.line() as line:
            with refusals():
                await line.agent.PostStatus(agent_pb2.PostStatusRequest(agent_version=version), timeout=TIMEOUT)

    async def bundle(self) -> Bundle:
        """The own trust domain's bundle."""
        async with self._connection.line() as line:
            with refusals():
                message = await line.bundle.GetBundle(bundle_pb2.GetBundleRequest(), timeout=TIMEOUT)
            return bundle_wire.from_proto(message)

    async def federated_bundles(self, trust_domains: Sequence[TrustDomain]) -> tuple[Bundle, ...]:
        """Bundles of those trust domains; those the server does not have are left out."""
        workers = asyncio.Semaphore(BUNDLES_AT_ONCE)
        async with self._connection.line() as line:
            asked = [self._federated_bundle(line, workers, one) for one in trust_domains]
            return tuple(bundle for bundle in await asyncio.gather(*asked) if bundle is not None)

    async def watch(self, position: Position | None) -> AsyncGenerator[WatchUpdate]:
        """Updates from that position on (a snapshot first without one), until `renewed` is called.

        Raises:
            UnimplementedError: the server is SPIRE's.
            PermissionDeniedError: the agent's right has ended; the reason says how to go on.
            UnavailableError: the stream broke.
        """
        async with self._connection.line() as line:
            call, gathering = watch.call(line.channel), watch.Gathering()
            try:
                with line.ended_by_renewal(call.cancel), refusals():
                    async with call:
                        await call.write(watch.request(position), last=True)
                        while (part := await call.read()) is not None:
                            if (update := gathering.add(part)) is not None:
                                yield update
            except UnavailableError:
                if line.outdated:
                    return
                raise
            raise UnavailableError("server ended the stream")

    async def sync_entries(self, known: Mapping[str, Entry]) -> EntryChanges:
        """How the entries the agent is authorized for differ from those it knows, by ID; SPIRE's protocol."""
        async with self._connection.line() as line:
            return await entries.sync_entries(line.channel, known)

    async def new_x509_svids(self, requests: Sequence[tuple[str, bytes]]) -> Signed:
        """Sign up to 500 requests, each an entry ID and a CSR (DER).

        Raises:
            ResourceExhaustedError: too many at once.
        """
        params = [svid_pb2.NewX509SVIDParams(entry_id=entry_id, csr=csr) for entry_id, csr in requests]
        async with self._connection.line() as line:
            with refusals():
                response = await line.svid.BatchNewX509SVID(
                    svid_pb2.BatchNewX509SVIDRequest(params=params), timeout=TIMEOUT
                )
        answers = list(zip((entry_id for entry_id, _ in requests), response.results, strict=False))
        return Signed(
            chains={entry_id: tuple(one.svid.cert_chain) for entry_id, one in answers if not one.status.code},
            refused={
                entry_id: from_status(one.status.code, one.status.message)
                for entry_id, one in answers
                if one.status.code
            },
        )

    async def new_jwt_svid(self, entry_id: str, audience: Sequence[str], within: float = TIMEOUT) -> IssuedJwt:
        """A JWT-SVID for that entry, or UnavailableError after `within` seconds."""
        request = svid_pb2.NewJWTSVIDRequest(entry_id=entry_id, audience=audience)
        async with self._connection.line() as line:
            with refusals():
                response = await line.svid.NewJWTSVID(request, timeout=within)
        svid = response.svid
        if not svid.token or not 0 < svid.issued_at <= svid.expires_at:
            raise UnavailableError("JWT-SVID response is malformed")
        return IssuedJwt(svid.token, spiffeid_wire.from_proto(svid.id), svid.issued_at, svid.expires_at)

    async def new_wit_svid(
        self, entry_id: str, public_key: bytes, algorithm: str, within: float = TIMEOUT
    ) -> IssuedWit:
        """A WIT-SVID for that entry and key (PKIX DER), or UnavailableError after `within` seconds."""
        params = svid_pb2.NewWITSVIDParams(entry_id=entry_id, public_key=public_key, signing_algorithm=algorithm)
        async with self._connection.line() as line:
            with refusals():
                response = await line.svid.BatchNewWITSVID(
                    svid_pb2.BatchNewWITSVIDRequest(params=[params]), timeout=within
                )
        if len(response.results) != 1:
            raise UnavailableError("WIT-SVID response is malformed")
        result = response.results[0]
        if result.status.code:
            raise from_status(result.status.code, result.status.message)
        svid = result.svid
        if not svid.token or not 0 < svid.issued_at <= svid.expires_at:
            raise UnavailableError("WIT-SVID response is malformed")
        return IssuedWit(svid.token, svid.issued_at, svid.expires_at)

    def tasks(self) -> "TaskRelay":
        """What workloads ask of their tasks."""
        from assay_agent.client.tasks import TaskRelay  # noqa: PLC0415 - few workloads have tasks

        return TaskRelay(self._connection)

    def status(self) -> "StatusStreams":
        """What verifiers of the host have to know of credentials."""
        from assay_agent.client.status import StatusStreams  # noqa: PLC0415 - few hosts have verifiers

        return StatusStreams(self._connection)

    async def new_instance_svids(self, requests: Sequence[InstanceRequest]) -> list[tuple[bytes, ...] | AssayError]:
        """An X.509-SVID for each instance, in order: its chain (DER, leaf first), or why there is none."""
        from assay_agent.client import instance  # noqa: PLC0415 - few agents have entries that name instances

        async with self._connection.line() as line:
            return await instance.new_x509_svids(line.channel, requests, TIMEOUT)

    async def new_instance_jwt(self, entry_id: str, value: str, audience: Sequence[str]) -> PrincipalJwt:
        """A JWT-SVID for an entry of a principal; `value` is empty where the entry does not name instances."""
        from assay_agent.client import instance  # noqa: PLC0415 - likewise

        async with self._connection.line() as line:
            return await instance.new_jwt_svid(line.channel, entry_id, value, audience, TIMEOUT)

    async def new_instance_wit(self, entry_id: str, value: str, public_key: bytes, algorithm: str) -> IssuedWit:
        """A WIT-SVID for an entry of a principal and that key (PKIX DER); `value` as for `new_instance_jwt`."""
        from assay_agent.client import instance  # noqa: PLC0415 - likewise

        async with self._connection.line() as line:
            return await instance.new_wit_svid(line.channel, entry_id, value, public_key, algorithm, TIMEOUT)

    async def _federated_bundle(
        self, line: Line, workers: asyncio.Semaphore, trust_domain: TrustDomain
    ) -> Bundle | None:
        request = bundle_pb2.GetFederatedBundleRequest(trust_domain=trust_domain.name)
        try:
            async with workers:
                with refusals():
                    message = await line.bundle.GetFederatedBundle(request, timeout=TIMEOUT)
        except NotFoundError:
            return None
        return next(iter(watch.parse_bundles([message])), None)
