"""The AttestAgent stream as a conversation: what comes first, and one answer to each challenge."""

from assay.errors import InvalidArgumentError
from assay.rpc.method import Context
from assay.rpc.status import EndError, StatusCode
from assay_proto.spire.api.server.agent.v1 import agent_pb2 as pb


class Conversation:
    """Reads and writes the stream that the context belongs to."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def params(self) -> pb.AttestAgentRequest.Params:
        """The first message.

        Raises:
            InvalidArgumentError: the stream ended, or parts are missing.
        """
        request = await self._receive()
        if request is None:
            raise InvalidArgumentError("failed to receive request from stream: EOF")
        if not request.HasField("params"):
            raise InvalidArgumentError("malformed param: missing params")
        params = request.params
        for missing, found in (
            ("attestation data", params.HasField("data")),
            ("X509-SVID parameters", params.HasField("params")),
        ):
            if not found:
                raise InvalidArgumentError(f"malformed param: missing {missing}")
        return params

    async def challenge(self, challenge: bytes) -> bytes:
        """Ask the agent and wait for its answer.

        As with SPIRE, a message that is no answer is an empty one, which no attestor takes.

        Raises:
            EndError: the stream ended; not an AssayError, before whose words would come the attestor's name.
        """
        await self._context.write(pb.AttestAgentResponse(challenge=challenge))
        answer = await self._receive()
        if answer is None:
            raise EndError(StatusCode.INVALID_ARGUMENT, "failed to receive challenge from agent: EOF")
        return answer.challenge_response

    async def _receive(self) -> pb.AttestAgentRequest | None:
        message = await self._context.read()
        return message if isinstance(message, pb.AttestAgentRequest) else None  # which is the end of the stream
