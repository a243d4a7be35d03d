# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""Programs that import us, beside the real daemons."""

import asyncio
import signal
from typing import Any

from assay import authorize
from assay.errors import UnavailableError
from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.testing.wait import until
from assay.verify import JwtVerifier, X509Verifier
from assay.workloadapi import Endpoint, JwtSource, X509Source, blocking

PATIENCE = 120.0
WEB = f"spiffe://{TRUST_DOMAIN}/web"


async def test_sources_serve_through_their_agents_end_and_follow_the_next(
    deployment: Deployment, register: Any
) -> None:
    deployment.register("/web")
    endpoint = Endpoint.of_path(deployment.api)
    async with X509Source(endpoint, spiffe_id=WEB) as source, JwtSource(endpoint) as tokens, asyncio.timeout(PATIENCE):
        x509 = X509Verifier(source, authorize.one_of(WEB))
        jwt = JwtVerifier(tokens, "db", authorize.one_of(WEB))
        token = (await tokens.fetch("db", WEB)).token
        version = source.version

        await asyncio.to_thread(deployment.stop, "agent", signal.SIGKILL)
        await until(lambda: source.status.error is not None and tokens.status.error is not None)
        assert isinstance(source.status.error, UnavailableError)
        assert str(x509.verify(source.svid().chain)) == WEB
        assert str(jwt.verify(token).spiffe_id) == WEB
        assert (await tokens.fetch("db", WEB)).token == token

        await asyncio.to_thread(deployment.start_agent)
        # The new agent's SVIDs are its own: that another comes shows that it is the new one's.
        assert await source.changed(version) > version
        assert str(x509.verify(source.svid().chain)) == WEB
        await register("/second")
        while len(source.svids()) < 2:
            version = await source.changed(version)
        assert source.svid().spiffe_id.path == "/web"
        assert (await tokens.fetch("another", WEB)).audience == ("another",)


def test_a_program_without_a_loop_is_served_the_same(deployment: Deployment) -> None:
    deployment.register("/web")
    endpoint = Endpoint.of_path(deployment.api)
    with blocking.X509Source(endpoint) as source, blocking.JwtSource(endpoint) as tokens:
        assert str(X509Verifier(source, authorize.one_of(WEB)).verify(source.svid().chain)) == WEB
        token = tokens.fetch("db").token
        assert str(JwtVerifier(tokens, "db", authorize.one_of(WEB)).verify(token).spiffe_id) == WEB
        deployment.stop("agent")
        deployment.start_agent()
        assert str(source.svid().spiffe_id) == WEB
        assert source.changed(1, within=PATIENCE) > 1
