"""spire.api.server.agent.v1.Agent: attestation, renewal, and what operators do with agents."""

from collections.abc import AsyncIterator, Sequence

from google.protobuf.empty_pb2 import Empty

from assay.errors import AlreadyExistsError, prefixed
from assay.namespace import require_agent
from assay.rpc.method import Context
from assay.spiffeid import SpiffeId, TrustDomain
from assay.wire import spiffeid as spiffeid_wire
from assay_proto.spire.api.server.agent.v1 import agent_pb2 as pb
from assay_proto.spire.api.types import agent_pb2, jointoken_pb2
from assay_server.api.agent_conversation import Conversation
from assay_server.api.agent_filter import node_filter
from assay_server.api.agent_values import agent_to_proto, svid_to_proto
from assay_server.api.audit.note import note
from assay_server.api.page import bounded, page_from_proto
from assay_server.attestation.nodes import NodeService
from assay_server.attestation.service import Attestation, AttestationService
from assay_server.attestation.tokens import JoinTokens
from assay_server.authorization.caller import caller_id, current_caller
from assay_server.authorization.ratelimit import RateLimits, take
from assay_server.datastore.base import Page


class AgentApi:
    """The Agent service; handlers translate and leave the deciding to the services."""

    def __init__(
        self,
        trust_domain: TrustDomain,
        attestation: AttestationService,
        nodes: NodeService,
        tokens: JoinTokens,
        limits: RateLimits,
    ) -> None:
        self._trust_domain = trust_domain
        self._attestation = attestation
        self._nodes = nodes
        self._tokens = tokens
        self._limits = limits

    async def CountAgents(self, request: pb.CountAgentsRequest, context: Context) -> pb.CountAgentsResponse:
        """How many agents there are."""
        where = node_filter(request.filter)
        with prefixed("failed to count agents"):
            return pb.CountAgentsResponse(count=await self._nodes.count(where))

    async def ListAgents(self, request: pb.ListAgentsRequest, context: Context) -> pb.ListAgentsResponse:
        """Agents, in pages if the caller asks for pages."""
        where, mask = node_filter(request.filter), request.output_mask if request.HasField("output_mask") else None

        async def listed(page: Page) -> tuple[pb.ListAgentsResponse, Sequence[agent_pb2.Agent]]:
            nodes, token = await self._nodes.list(where, page)
            agents = [agent_to_proto(node, mask) for node in nodes]
            return pb.ListAgentsResponse(agents=agents, next_page_token=token), agents

        with prefixed("failed to list agents"):
            return await bounded(page_from_proto(request), listed)

    async def GetAgent(self, request: pb.GetAgentRequest, context: Context) -> agent_pb2.Agent:
        """One agent."""
        node = await self._nodes.get(self._agent_id(request))
        return agent_to_proto(node, request.output_mask if request.HasField("output_mask") else None)

    async def DeleteAgent(self, request: pb.DeleteAgentRequest, context: Context) -> Empty:
        """Forget an agent; it may attest again."""
        await self._nodes.delete(self._agent_id(request))
        return Empty()

    async def BanAgent(self, request: pb.BanAgentRequest, context: Context) -> Empty:
        """Shut an agent out."""
        await self._nodes.ban(self._agent_id(request))
        return Empty()

    async def AttestAgent(
        self, request_iterator: AsyncIterator[pb.AttestAgentRequest], context: Context
    ) -> AsyncIterator[pb.AttestAgentResponse]:
        """Params, then challenges and answers, then the result."""
        await take(self._limits.attestation, refusal="attest agent rate limiting", patience=context.time_remaining())
        conversation = Conversation(context)
        params = await conversation.params()
        note(node_attestor_type=params.data.type)
        request = Attestation(params.data.type, params.data.payload, params.params.csr)
        attested = await self._attestation.attest(request, conversation.challenge, current_caller().address)
        yield pb.AttestAgentResponse(
            result=pb.AttestAgentResponse.Result(svid=svid_to_proto(attested.svid), reattestable=attested.can_reattest)
        )

    async def RenewAgent(self, request: pb.RenewAgentRequest, context: Context) -> pb.RenewAgentResponse:
        """A new SVID for the calling agent."""
        await take(self._limits.x509_signing, refusal="renew agent rate limiting", patience=context.time_remaining())
        csr = request.params.csr if request.HasField("params") else None
        return pb.RenewAgentResponse(svid=svid_to_proto(await self._nodes.renew(caller_id(), csr)))

    async def PostStatus(self, request: pb.PostStatusRequest, context: Context) -> pb.PostStatusResponse:
        """The calling agent's version."""
        await take(self._limits.status, refusal="post status rate limiting", patience=context.time_remaining())
        await self._nodes.post_status(caller_id(), request.agent_version)
        return pb.PostStatusResponse()

    async def CreateJoinToken(self, request: pb.CreateJoinTokenRequest, context: Context) -> jointoken_pb2.JoinToken:
        """A token, and an entry for the ID that the agent shall have besides its own."""
        with prefixed("invalid agent ID"):
            alias = spiffeid_wire.from_proto(request.agent_id) if request.HasField("agent_id") else None
        try:
            token = await self._tokens.create(request.ttl, request.token, alias)
        except AlreadyExistsError as error:
            words = "failed to create token: datastore-sql: UNIQUE constraint failed: join_tokens.token"
            raise AlreadyExistsError(words, hint=error.message) from None
        return jointoken_pb2.JoinToken(value=token.value, expires_at=token.expires_at)

    def _agent_id(self, request: pb.GetAgentRequest | pb.DeleteAgentRequest | pb.BanAgentRequest) -> SpiffeId:
        with prefixed("invalid agent ID"):
            agent = spiffeid_wire.in_field(request, "id")
            require_agent(agent, self._trust_domain)
            return agent
