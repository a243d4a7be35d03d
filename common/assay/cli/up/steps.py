"""The steps of `assay up`, each against the real sockets."""

import asyncio
import os
import pwd
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from assay.bundle import Bundle, pem
from assay.cli.admin import TIMEOUT, connect
from assay.cli.health import check_health
from assay.cli.up.fetched import Fetched, verified
from assay.cli.up.process import Child
from assay.cli.up.state import State
from assay.clock import Clock
from assay.errors import AssayError, FailedPreconditionError, UnavailableError
from assay.files import write_private
from assay.rpc.status import StatusCode
from assay.spiffeid import SpiffeId
from assay.wire import bundle as bundle_wire
from assay.wire import spiffeid as spiffeid_wire
from assay.wire.service import bundle_stub, entry_stub
from assay.wire.status import code_of, refusal
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay_proto.spire.api.server.bundle.v1.bundle_pb2 import GetBundleRequest
from assay_proto.spire.api.server.entry.v1.entry_pb2 import BatchCreateEntryRequest
from assay_proto.spire.api.types.entry_pb2 import Entry
from assay_proto.spire.api.types.selector_pb2 import Selector

AUDIENCE = "assay-up"
# Seconds in which a daemon has to be ready, and those between two looks.
DEADLINE = 30.0
PAUSE = 0.05

T = TypeVar("T")


class Steps:
    """What is done with one state and two children, in order."""

    def __init__(self, state: State, server: Child, agent: Child, clock: Clock) -> None:
        self.state = state
        self.selector = f"uid:{os.getuid()}"
        self.agent_id = SpiffeId(state.trust_domain)
        self.user_id = SpiffeId(state.trust_domain, f"/user/{_user()}")
        self._server = server
        self._agent = agent
        self._clock = clock

    async def start_server(self, log_level: str) -> None:
        """Return when the server says that it is well."""
        self.state.node.ensure(self._clock.now())
        self.agent_id = self.state.node.agent_id(self.state.trust_domain)
        await self._server.start(["server", "run", "--config", str(self.state.write_server_config(log_level))])
        await self._until(self._server, lambda: check_health(self.state.admin_socket, "server"))

    async def register(self) -> None:
        """Save the bundle for the agent to trust, and register this user under the agent, if he is not yet."""
        bundle = await self.get_bundle()
        write_private(self.state.bundle, pem.emit(bundle.x509_authorities))
        entry = Entry(
            spiffe_id=spiffeid_wire.to_proto(self.user_id),
            parent_id=spiffeid_wire.to_proto(self.agent_id),
            selectors=[Selector(type="unix", value=self.selector)],
        )
        async with connect(self.state.admin_socket) as channel:
            answer = await entry_stub(channel).BatchCreateEntry(
                BatchCreateEntryRequest(entries=[entry]), timeout=TIMEOUT
            )
        (result,) = answer.results
        code = code_of(result.status.code)
        if code not in {StatusCode.OK, StatusCode.ALREADY_EXISTS}:
            raise refusal(code, f"could not register {self.user_id}: {result.status.message}")

    async def start_agent(self, log_level: str) -> None:
        """Return when the agent has an X.509-SVID for this process."""
        await self._agent.start(["agent", "run", "--config", str(self.state.write_agent_config(log_level))])
        await self._until(self._agent, self._ask_agent)

    async def fetch(self) -> Fetched:
        """Fetch both kinds of SVID and verify them against the server's own bundle."""
        async with self.client() as client:
            context = await client.fetch_x509(within=TIMEOUT)
            tokens = await client.fetch_jwt([AUDIENCE], self.user_id, within=TIMEOUT)
        bundle, now = await self.get_bundle(), self._clock.now()
        return verified(context, tokens, bundle, expected=self.user_id, audience=AUDIENCE, now=now)

    async def get_bundle(self) -> Bundle:
        """The server's bundle, from its admin socket."""
        async with connect(self.state.admin_socket) as channel:
            return bundle_wire.from_proto(await bundle_stub(channel).GetBundle(GetBundleRequest(), timeout=TIMEOUT))

    def client(self) -> WorkloadApiClient:
        """A client on the agent's socket."""
        return WorkloadApiClient(Endpoint.of_path(self.state.workload_socket))

    async def _ask_agent(self) -> None:
        if not self.state.workload_socket.is_socket():
            raise UnavailableError("the agent has no socket yet")
        async with self.client() as client:
            await client.fetch_x509(within=TIMEOUT)

    async def _until(self, child: Child, ask: Callable[[], Awaitable[None]]) -> None:
        """Ask until there is an answer, as long as the child runs.

        Raises:
            UnavailableError: it ended or took too long; with the end of its log.
        """
        last: AssayError = UnavailableError("no answer")
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    child.check_running()
                    try:
                        return await ask()
                    except AssayError as error:
                        last = error
                    await self._clock.sleep(PAUSE)
        except TimeoutError:
            message = f"the {child.name} was not ready within {DEADLINE:.0f} s: {last.message}\n{child.tail()}"
            hint = f"its whole log is {child.log}; to begin anew, delete {self.state.folder}"
            raise FailedPreconditionError(message, hint=hint) from None


def _user() -> str:
    """This user's name if it can be part of a SPIFFE ID, else the number."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
    return name if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name) else str(os.getuid())
