"""What calls an agent for `bench.day`: workloads, Envoys and those who want tokens, all in this process."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import aclosing

import grpc
from cryptography import x509

from assay.clock import SystemClock
from assay.errors import AssayError
from assay.testing.deployment import Deployment
from assay.transport.dial import dial_unix
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay_agent.sds.secrets import TYPE_URL
from assay_proto.envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from assay_proto.envoy.service.discovery.v3 import discovery_pb2 as pb
from assay_proto.envoy.service.secret.v3.sds_pb2_grpc import SecretDiscoveryServiceStub

STREAMS, ENVOYS, ASKERS, VISITORS = 10, 4, 8, 4
"""Streams of X.509-SVIDs, and of bundles; Envoys by streams, and by deltas; who asks for tokens; who comes and goes."""
PAUSE = 0.5
PATIENCE = 20.0
EARLY = 1.0
"""Seconds: no SVID is good for less when it comes, and no token."""


class LateError(Exception):
    """An SVID came when it was nearly over."""


class Callers:
    """Call until cancelled, and count. What goes wrong is in `faults`."""

    def __init__(self, house: Deployment) -> None:
        self._house = house
        self.counts = Counter[str]()
        self.faults = Counter[str]()
        self.turns: list[Counter[str]] = []
        """Of each stream: how often each SPIFFE ID's SVID became another."""

    async def run(self) -> None:
        kinds: list[tuple[int, Callable[[], Coroutine[None, None, None]]]] = [
            (STREAMS, self._workload),
            (STREAMS, self._bundles),
            (ENVOYS, self._envoy),
            (ENVOYS, self._delta_envoy),
            (ASKERS, self._asker),
            (VISITORS, self._visitor),
        ]
        async with asyncio.TaskGroup() as group:
            for count, kind in kinds:
                for _ in range(count):
                    group.create_task(self._forever(kind))

    async def _forever(self, kind: Callable[[], Coroutine[None, None, None]]) -> None:
        """A fault is noted, and then it goes on."""
        while True:
            try:
                await kind()
            except (AssayError, grpc.RpcError, OSError, EOFError, LateError) as fault:
                self.faults[f"{kind.__name__}: {type(fault).__name__}: {str(fault)[:200]}"] += 1
                await asyncio.sleep(PAUSE)

    def _client(self) -> WorkloadApiClient:
        return WorkloadApiClient(Endpoint.of_path(self._house.api))

    async def _workload(self) -> None:
        seen = Seen(self)
        async with self._client() as client, aclosing(client.watch_x509()) as updates:
            async for context in updates:
                seen.all({str(one.spiffe_id): one.svid.leaf for one in context.svids})
        raise EOFError("the stream ended")

    async def _bundles(self) -> None:
        async with self._client() as client, aclosing(client.watch_jwt_bundles()) as updates:
            async for _ in updates:
                self.counts["bundles"] += 1
        raise EOFError("the stream ended")

    async def _envoy(self) -> None:
        """Takes all secrets, and says so."""
        seen = Seen(self)
        async with dial_unix(self._house.api) as channel:
            stream = SecretDiscoveryServiceStub(channel).StreamSecrets()
            request = pb.DiscoveryRequest(type_url=TYPE_URL)
            while True:
                await stream.write(request)
                response = await stream.read()
                if not isinstance(response, pb.DiscoveryResponse):
                    break
                seen.all(certificates([one.value for one in response.resources]))
                request = pb.DiscoveryRequest(
                    type_url=TYPE_URL, version_info=response.version_info, response_nonce=response.nonce
                )
        raise EOFError("the stream ended")

    async def _delta_envoy(self) -> None:
        seen = Seen(self)
        async with dial_unix(self._house.api) as channel:
            stream = SecretDiscoveryServiceStub(channel).DeltaSecrets()
            request = pb.DeltaDiscoveryRequest(type_url=TYPE_URL, resource_names_subscribe=["*"])
            while True:
                await stream.write(request)
                response = await stream.read()
                if not isinstance(response, pb.DeltaDiscoveryResponse):
                    break
                seen.all(certificates([one.resource.value for one in response.resources]))
                request = pb.DeltaDiscoveryRequest(type_url=TYPE_URL, response_nonce=response.nonce)
        raise EOFError("the stream ended")

    async def _asker(self) -> None:
        """Wants a token now and then, and asks whether another's is good."""
        async with self._client() as client:
            while True:
                svids = await client.fetch_jwt(["billing"], within=PATIENCE)
                checked = await client.validate_jwt("billing", svids[0].token, within=PATIENCE)
                left = float(checked.claims["exp"]) - SystemClock().now().timestamp()
                if left < EARLY:
                    raise LateError(f"a token that is good for {left:.1f} s")
                self.counts["tokens"] += 1
                await asyncio.sleep(PAUSE)

    async def _visitor(self) -> None:
        """One that comes, takes its SVIDs and goes."""
        async with self._client() as client:
            await client.fetch_x509(within=PATIENCE)
        self.counts["visits"] += 1
        await asyncio.sleep(PAUSE)


class Seen:
    """The certificates on one stream."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._serials: dict[str, int] = {}
        self._turns = Counter[str]()
        callers.turns.append(self._turns)

    def all(self, leaves: dict[str, x509.Certificate]) -> None:
        """Count which are others than before; LateError for one that comes too late."""
        now = SystemClock().now()
        for name, leaf in leaves.items():
            if (left := (leaf.not_valid_after_utc - now).total_seconds()) < EARLY:
                raise LateError(f"an SVID that is good for {left:.1f} s")
            before = self._serials.get(name)
            self._serials[name] = leaf.serial_number
            if before not in (None, leaf.serial_number):
                self._turns[name] += 1
        self._callers.counts["updates"] += 1


def certificates(packed: list[bytes]) -> dict[str, x509.Certificate]:
    """The leaves of those secrets that have one, by the secret's name."""
    secrets = [Secret.FromString(one) for one in packed]
    chains = {one.name: one.tls_certificate.certificate_chain.inline_bytes for one in secrets}
    return {name: x509.load_pem_x509_certificate(chain) for name, chain in chains.items() if chain}
