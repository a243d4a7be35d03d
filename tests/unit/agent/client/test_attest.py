from collections.abc import AsyncIterator

import pytest

from assay.errors import AssayError, InvalidArgumentError, PermissionDeniedError, UnavailableError
from assay.testing.scripted import Context, ScriptedServer, refuse
from assay_agent.client.server import ServerClient
from assay_proto.spire.api.server.agent.v1.agent_pb2 import AttestAgentRequest, AttestAgentResponse
from assay_proto.spire.api.types.x509svid_pb2 import X509SVID


class Answers:
    payload = b"payload"

    async def answer(self, challenge: bytes) -> bytes:
        if challenge == b"unanswerable":
            raise AssayError("no answer")
        return b"answer to " + challenge


def result(*chain: bytes, reattestable: bool = False) -> AttestAgentResponse:
    return AttestAgentResponse(
        result=AttestAgentResponse.Result(svid=X509SVID(cert_chain=chain), reattestable=reattestable)
    )


async def test_attestation_answers_every_challenge(server: ScriptedServer, client: ServerClient) -> None:
    heard: list[AttestAgentRequest] = []

    async def attest(requests: AsyncIterator[AttestAgentRequest], _: object) -> AsyncIterator[AttestAgentResponse]:
        heard.append(await anext(requests))
        for challenge in (b"one", b"two"):
            yield AttestAgentResponse(challenge=challenge)
            heard.append(await anext(requests))
        yield result(b"leaf", b"intermediate", reattestable=True)

    server.on("AttestAgent", attest)
    await server.start()
    issued = await client.attest("x509pop", Answers(), b"csr")
    assert issued.chain == (b"leaf", b"intermediate")
    assert issued.reattestable
    params = heard[0].params
    assert (params.data.type, params.data.payload, params.params.csr) == ("x509pop", b"payload", b"csr")
    assert [one.challenge_response for one in heard[1:]] == [b"answer to one", b"answer to two"]


@pytest.mark.parametrize(
    "refusal",
    [
        InvalidArgumentError("failed to attest: join token does not exist or has already been used"),
        PermissionDeniedError("failed to attest: agent is banned"),
    ],
)
async def test_a_refusal_keeps_the_servers_words(
    refusal: AssayError, server: ScriptedServer, client: ServerClient
) -> None:
    async def attest(
        requests: AsyncIterator[AttestAgentRequest], context: Context
    ) -> AsyncIterator[AttestAgentResponse]:
        await anext(requests)
        await refuse(context, refusal)
        yield result()

    server.on("AttestAgent", attest)
    await server.start()
    with pytest.raises(type(refusal), match=refusal.message):
        await client.attest("join_token", Answers(), b"csr")


async def test_a_challenge_without_answer_ends_the_attestation(server: ScriptedServer, client: ServerClient) -> None:
    async def attest(requests: AsyncIterator[AttestAgentRequest], _: object) -> AsyncIterator[AttestAgentResponse]:
        await anext(requests)
        yield AttestAgentResponse(challenge=b"unanswerable")

    server.on("AttestAgent", attest)
    await server.start()
    with pytest.raises(AssayError, match="no answer"):
        await client.attest("x509pop", Answers(), b"csr")


async def test_a_result_without_svid_is_refused(server: ScriptedServer, client: ServerClient) -> None:
    async def attest(requests: AsyncIterator[AttestAgentRequest], _: object) -> AsyncIterator[AttestAgentResponse]:
        await anext(requests)
        yield result()

    server.on("AttestAgent", attest)
    await server.start()
    with pytest.raises(UnavailableError, match="missing SVID"):
        await client.attest("x509pop", Answers(), b"csr")


async def test_an_early_end_is_no_success(server: ScriptedServer, client: ServerClient) -> None:
    async def attest(requests: AsyncIterator[AttestAgentRequest], _: object) -> AsyncIterator[AttestAgentResponse]:
        await anext(requests)
        return
        yield

    server.on("AttestAgent", attest)
    await server.start()
    with pytest.raises(UnavailableError, match="ended the conversation"):
        await client.attest("x509pop", Answers(), b"csr")
