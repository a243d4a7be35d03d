"""A real server's and a real agent's calls, each against a bare echo with as many callers."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from assay.bundle import pem
from assay.clock import SystemClock
from assay.crypto import csr
from assay.spiffeid import SpiffeId, TrustDomain
from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.transport.dial import SpiffeDialer, dial_unix
from assay.transport.known import Identity, KnownServer
from assay.wire import spiffeid as spiffeid_wire
from assay.workloadapi.wire import METADATA, Stub
from assay_agent.client.dial import dialling
from assay_agent.client.server import ServerClient
from assay_agent.plugins.nodeattestor_join_token import JoinTokenAttestor
from assay_proto.spire.api.server.entry.v1 import entry_pb2
from assay_proto.spire.api.server.entry.v1.entry_pb2_grpc import EntryStub
from assay_proto.spire.api.server.svid.v1 import svid_pb2
from assay_proto.spire.api.server.svid.v1.svid_pb2_grpc import SVIDStub
from assay_proto.spire.api.types import entry_pb2 as types
from assay_proto.spire.api.types.selector_pb2 import Selector
from assay_proto.workloadapi import workloadapi_pb2 as workload
from bench.credential import bare_request, bare_signature, bare_verification
from bench.figure import Figure
from bench.load import Floor, echo_floor

UNLIMITED = "ratelimit { attestation = false signing = false }"
AUDIENCE = ["audience"]
ID = SpiffeId(TrustDomain(TRUST_DOMAIN), "/bench")
KEY = ec.generate_private_key(ec.SECP256R1())


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="assay-") as name:
        folder = Path(name)
        with closing(Deployment(folder, server=UNLIMITED)) as house, echo_floor(folder) as floor:
            house.start()
            house.register(ID.path)
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(floor.measure())
                for part in (workload_api(house, floor), signing(house, floor), admin(house, floor)):
                    while (figure := runner.run(after(part))) is not None:
                        yield figure


async def after(part: AsyncIterator[Figure]) -> Figure | None:
    return await anext(part, None)


async def workload_api(house: Deployment, floor: Floor) -> AsyncIterator[Figure]:
    pid = house.processes["agent"].pid
    async with dial_unix(house.api) as channel:
        api = Stub(channel)
        want = workload.JWTSVIDRequest(audience=AUDIENCE)
        (svid,) = (await api.fetch_jwt_svid(want, metadata=METADATA)).svids
        token = workload.ValidateJWTSVIDRequest(audience=AUDIENCE[0], svid=svid.svid)

        async def fetch_x509() -> None:
            call = api.fetch_x509_svid(workload.X509SVIDRequest(), metadata=METADATA)
            await call.read()
            call.cancel()

        async def fetch_bundles() -> None:
            call = api.fetch_x509_bundles(workload.X509BundlesRequest(), metadata=METADATA)
            await call.read()
            call.cancel()

        async def fetch_newly() -> None:
            async with dial_unix(house.api) as fresh:
                await Stub(fresh).fetch_x509_svid(workload.X509SVIDRequest(), metadata=METADATA).read()

        yield await floor.figure("FetchX509SVID, new stream", pid, fetch_x509, stream=True)
        yield await floor.figure("FetchX509SVID, new connection", pid, fetch_newly, stream=True)
        yield await floor.figure("FetchX509Bundles", pid, fetch_bundles, stream=True)
        yield await floor.figure("FetchJWTSVID, cached", pid, lambda: api.fetch_jwt_svid(want, metadata=METADATA))
        yield await floor.figure(
            "ValidateJWTSVID",
            pid,
            lambda: api.validate_jwt_svid(token, metadata=METADATA),
            beside=[bare_verification(KEY)],
        )


async def signing(house: Deployment, floor: Floor) -> AsyncIterator[Figure]:
    """As an agent, over TLS."""
    pid = house.processes["server"].pid
    token = house.operator.join_token()
    async with ServerClient(dialling(known(house))) as client:
        chain = (await client.attest("join_token", await JoinTokenAttestor(token).begin(), csr.create(KEY))).chain
    entry_id = house.operator.register("/signed", SpiffeId(ID.trust_domain, f"/spire/agent/join_token/{token}"))
    request = csr.create(KEY)
    sign, both = [bare_signature(KEY)], [bare_request(request), bare_signature(KEY)]
    param = svid_pb2.NewX509SVIDParams(entry_id=entry_id, csr=request)
    jwt = svid_pb2.NewJWTSVIDRequest(entry_id=entry_id, audience=AUDIENCE)
    async with dialer(house, lambda: (chain, KEY)) as channel:
        svid = SVIDStub(channel)

        def batch(size: int) -> Awaitable[object]:
            return svid.BatchNewX509SVID(svid_pb2.BatchNewX509SVIDRequest(params=[param] * size))

        yield await floor.figure("BatchNewX509SVID, 1", pid, lambda: batch(1), beside=both)
        yield await floor.figure("BatchNewX509SVID, 100 in one, each", pid, lambda: batch(100), items=100, beside=both)
        yield await floor.figure("NewJWTSVID", pid, lambda: svid.NewJWTSVID(jwt), beside=sign)


async def admin(house: Deployment, floor: Floor) -> AsyncIterator[Figure]:
    pid = house.processes["server"].pid
    request = csr.create(KEY, None, x509.UniformResourceIdentifier(str(ID)))
    sign, both = [bare_signature(KEY)], [bare_request(request), bare_signature(KEY)]
    mint_x509 = svid_pb2.MintX509SVIDRequest(csr=request)
    mint_jwt = svid_pb2.MintJWTSVIDRequest(id=spiffeid_wire.to_proto(ID), audience=AUDIENCE)
    numbers = itertools.count()
    async with dial_unix(house.admin) as channel:
        svid, entry = SVIDStub(channel), EntryStub(channel)

        def create() -> Awaitable[object]:
            made = new_entries(list(itertools.islice(numbers, 50)))
            return entry.BatchCreateEntry(entry_pb2.BatchCreateEntryRequest(entries=made))

        def listing() -> Awaitable[object]:
            return entry.ListEntries(entry_pb2.ListEntriesRequest(page_size=500))

        yield await floor.figure("MintX509SVID", pid, lambda: svid.MintX509SVID(mint_x509), beside=both)
        yield await floor.figure("MintJWTSVID", pid, lambda: svid.MintJWTSVID(mint_jwt), beside=sign)
        yield await floor.figure("BatchCreateEntry, 50 in one, each", pid, create, items=50)
        yield await floor.figure("ListEntries, 500 a page, each", pid, listing, items=500)


def new_entries(numbers: Sequence[int]) -> list[types.Entry]:
    """For an agent that never comes."""
    parent = spiffeid_wire.to_proto(SpiffeId(ID.trust_domain, "/spire/agent/nobody"))
    return [
        types.Entry(
            spiffe_id=spiffeid_wire.to_proto(SpiffeId(ID.trust_domain, f"/many/{number}")),
            parent_id=parent,
            selectors=[Selector(type="unix", value="uid:1"), Selector(type="unix", value=f"gid:{number}")],
        )
        for number in numbers
    ]


def known(house: Deployment) -> KnownServer:
    """The server, for callers without identity."""
    roots = [authority.der for authority in pem.parse(house.operator.bundle())]
    server = SpiffeId(ID.trust_domain, "/spire/server")
    return KnownServer(
        "127.0.0.1", house.port, expected=server, roots=lambda: roots, identity=lambda: None, clock=SystemClock()
    )


def dialer(house: Deployment, identity: Identity) -> SpiffeDialer:
    roots = [authority.der for authority in pem.parse(house.operator.bundle())]
    server = SpiffeId(ID.trust_domain, "/spire/server")
    clock = SystemClock()
    return SpiffeDialer("127.0.0.1", house.port, expected=server, roots=lambda: roots, identity=identity, clock=clock)
