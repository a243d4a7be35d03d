"""ValidateJWTSVID with every kind of wrong token, of the own trust domain and of one that the caller federates with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from grpc import aio

from assay.testing import InMemoryTrustDomain, WrongJwtSvid
from assay.workloadapi.wire import METADATA, Stub
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.agent.conftest import LocalAgent


@pytest.fixture(params=["example.org", "friend.test"])
def issuer(agent: LocalAgent, request: pytest.FixtureRequest) -> InMemoryTrustDomain:
    """A trust domain whose bundle the caller may use."""
    made = InMemoryTrustDomain(str(request.param))
    agent.publish(made.bundle)
    foreign = made.trust_domain != agent.authority.trust_domain
    agent.register("a", "/web", federates_with=(made.trust_domain,) if foreign else ())
    return made


async def validated(stub: Stub, token: str) -> pb.ValidateJWTSVIDResponse:
    return await stub.validate_jwt_svid(pb.ValidateJWTSVIDRequest(audience="x", svid=token), metadata=METADATA)


@pytest.mark.spec("WAPI-6.2.3-a", "WAPI-6.2.3-b", "WAPI-6.2.3-c", "WAPI-6.3-b")
async def test_a_token_that_is_right_is_told_whose_it_is(stub: Stub, issuer: InMemoryTrustDomain) -> None:
    answer = await validated(stub, issuer.jwt_svid("/guest", ["x", "y"]))
    assert answer.spiffe_id == str(issuer.id("/guest"))
    assert {"sub", "aud", "exp"} <= set(answer.claims)


@pytest.mark.spec("WAPI-6.2.3-a", "WAPI-6.2.3-d", "WAPI-6.3-b", "WAPI-6.3-c")
async def test_no_wrong_token_is(stub: Stub, issuer: InMemoryTrustDomain) -> None:
    for wrong in WrongJwtSvid:
        with pytest.raises(aio.AioRpcError) as refusal:
            pytest.fail(f"{wrong.name}: {await validated(stub, issuer.wrong_jwt_svid(wrong, '/guest', 'x'))}")
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT, wrong.name


@pytest.mark.spec("FED-4.2-e", "FED-7.3-a", "JWT-4-d", "ID-3-a")
async def test_a_trust_domain_vouches_for_no_other(agent: LocalAgent, stub: Stub, issuer: InMemoryTrustDomain) -> None:
    other = InMemoryTrustDomain("other.test")
    agent.publish(other.bundle)
    agent.register("b", "/more", federates_with=(other.trust_domain,))
    assert (await validated(stub, other.jwt_svid("/guest", "x"))).spiffe_id == "spiffe://other.test/guest"
    with pytest.raises(aio.AioRpcError) as refusal:
        await validated(stub, other.jwt_svid(issuer.id("/guest"), "x"))
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
