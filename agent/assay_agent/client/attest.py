"""The agent's side of AttestAgent."""

from assay.errors import UnavailableError
from assay.plugin.nodeattestor import AgentConversation
from assay.rpc.client import Channel
from assay.wire.service import AGENT, Exchange
from assay_agent.client.dialogue import conversing
from assay_agent.client.values import AgentSvid
from assay_proto.spire.api.server.agent.v1 import agent_pb2
from assay_proto.spire.api.types.attestation_pb2 import AttestationData

ATTEST = AGENT.methods_by_name["AttestAgent"]
TIMEOUT = 30.0  # seconds


async def attest(channel: Channel, attestor: str, conversation: AgentConversation, csr: bytes) -> AgentSvid:
    """Send the payload, answer challenges until the result comes.

    Raises:
        AssayError: the server's refusal, or the attestor has no answer.
    """
    request = agent_pb2.AttestAgentRequest(
        params=agent_pb2.AttestAgentRequest.Params(
            data=AttestationData(type=attestor, payload=conversation.payload),
            params=agent_pb2.AgentX509SVIDParams(csr=csr),
        )
    )
    call = Exchange[agent_pb2.AttestAgentRequest, agent_pb2.AttestAgentResponse](
        channel, ATTEST, agent_pb2.AttestAgentResponse, timeout=TIMEOUT
    )
    async with conversing(call) as dialogue:
        while True:
            response = await dialogue.ask(request)
            if response.WhichOneof("step") != "challenge":
                return _result(response)
            answer = await conversation.answer(response.challenge)
            request = agent_pb2.AttestAgentRequest(challenge_response=answer)


def _result(response: agent_pb2.AttestAgentResponse) -> AgentSvid:
    chain = tuple(response.result.svid.cert_chain)
    if not chain:
        raise UnavailableError("failed to parse attestation response: attest response is missing SVID")
    return AgentSvid(chain, reattestable=response.result.reattestable)
