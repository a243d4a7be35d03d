"""What an operator does with a server, straight on its admin socket: a command's start-up would cost tests a second."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import grpc
from grpc_health.v1 import health_pb2

from assay.bundle import pem
from assay.spiffeid import SpiffeId, TrustDomain
from assay.wire import bundle as bundle_wire
from assay.wire import entry as entry_wire
from assay.wire import spiffeid as spiffeid_wire
from assay.wire.health import CHECK
from assay_proto.spire.api.server.agent.v1 import agent_pb2, agent_pb2_grpc
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2, bundle_pb2_grpc
from assay_proto.spire.api.server.entry.v1 import entry_pb2, entry_pb2_grpc
from assay_proto.spire.api.types import entry_pb2 as types
from assay_proto.spire.api.types.selector_pb2 import Selector

PATIENCE = 60.0
TOKEN_LIFE = 3600


@contextmanager
def dialled(path: Path) -> Generator[grpc.Channel]:
    """A blocking channel to that socket, with a connection of its own."""
    target = f"unix:{quote(str(path))}"
    with grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield channel


def serving(path: Path) -> bool:
    """Whether the daemon on that socket says that it is well."""
    if not path.is_socket():
        return False
    with dialled(path) as channel:
        ask = channel.unary_unary(
            CHECK, health_pb2.HealthCheckRequest.SerializeToString, health_pb2.HealthCheckResponse.FromString
        )
        try:
            status = ask(health_pb2.HealthCheckRequest(), timeout=PATIENCE).status
        except grpc.RpcError:
            return False
    return bool(status == health_pb2.HealthCheckResponse.SERVING)


class Operator:
    """Whoever may use the admin socket. Refusals are raised as grpc.RpcError."""

    def __init__(self, trust_domain: str, admin: Path) -> None:
        self._trust_domain = TrustDomain(trust_domain)
        self._admin = admin

    def bundle(self) -> bytes:
        """The server's X.509 authorities as PEM."""
        with dialled(self._admin) as channel:
            message = bundle_pb2_grpc.BundleStub(channel).GetBundle(bundle_pb2.GetBundleRequest(), timeout=PATIENCE)
        return pem.emit(bundle_wire.from_proto(message).x509_authorities)

    def join_token(self) -> str:
        """A new one."""
        request = agent_pb2.CreateJoinTokenRequest(ttl=TOKEN_LIFE)
        with dialled(self._admin) as channel:
            return agent_pb2_grpc.AgentStub(channel).CreateJoinToken(request, timeout=PATIENCE).value

    def agents(self) -> list[SpiffeId]:
        """Those that are attested."""
        with dialled(self._admin) as channel:
            found = agent_pb2_grpc.AgentStub(channel).ListAgents(agent_pb2.ListAgentsRequest(), timeout=PATIENCE)
        return [spiffeid_wire.from_proto(agent.id) for agent in found.agents]

    def register(
        self, path: str, parent: SpiffeId, dns_names: tuple[str, ...] = (), federates_with: tuple[str, ...] = ()
    ) -> str:
        """An entry for processes of this user; its ID."""
        entry = types.Entry(
            spiffe_id=spiffeid_wire.to_proto(SpiffeId(self._trust_domain, path)),
            parent_id=spiffeid_wire.to_proto(parent),
            selectors=[Selector(type="unix", value=f"uid:{os.getuid()}")],
            dns_names=dns_names,
            federates_with=federates_with,
        )
        with dialled(self._admin) as channel:
            answer = entry_pb2_grpc.EntryStub(channel).BatchCreateEntry(
                entry_pb2.BatchCreateEntryRequest(entries=[entry]), timeout=PATIENCE
            )
        (result,) = answer.results
        return entry_wire.from_proto(result.entry).id

    def delete(self, entry_id: str) -> None:
        """Delete that entry."""
        request = entry_pb2.BatchDeleteEntryRequest(ids=[entry_id])
        with dialled(self._admin) as channel:
            entry_pb2_grpc.EntryStub(channel).BatchDeleteEntry(request, timeout=PATIENCE)
