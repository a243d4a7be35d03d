"""docs/sources.md shows what works."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Any

import pytest

from assay.bundle import jwks
from assay.clock import SystemClock
from assay.svid import X509Svid
from assay.testing.authority import Authority
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.common.workloadapi.conftest import Agent, Elsewhere, Responses

PAGE = Path(__file__).parents[4] / "docs" / "sources.md"


def shown(number: int) -> str:
    blocks: list[str] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return blocks[number]


async def test_with_a_loop(agent: Agent, response: Responses, monkeypatch: pytest.MonkeyPatch) -> None:
    now = SystemClock().now()
    authority = Authority("example.org", now=now)
    response.authority = authority
    agent.says["x509"] = response()
    name = str(authority.trust_domain.id)
    agent.says["jwt bundles"] = pb.JWTBundlesResponse(bundles={name: jwks.emit_jwt(authority.bundle)})
    token = authority.jwt_svid("/web", ("db",))
    agent.tokens = [pb.JWTSVIDResponse(svids=[pb.JWTSVID(spiffe_id=f"{name}/web", svid=token)])]
    monkeypatch.setenv("SPIFFE_ENDPOINT_SOCKET", agent.endpoint.target)
    names: dict[str, Any] = {}
    exec("async def program():\n" + indent(shown(0), "    ") + "    return token", names)  # noqa: S102 - our own page
    assert await names["program"]() == token


def test_without_a_loop(elsewhere: Elsewhere, response: Responses, monkeypatch: pytest.MonkeyPatch) -> None:
    response.authority = Authority("example.org", now=SystemClock().now())
    elsewhere.say("x509", response("/web", "/in@internal"))
    monkeypatch.setenv("SPIFFE_ENDPOINT_SOCKET", elsewhere.agent.endpoint.target)
    served: list[str] = []

    def serve_with(svid: X509Svid) -> None:
        served.append(svid.spiffe_id.path)
        if len(served) == 2:
            raise EOFError
        elsewhere.say("x509", response("/web", "/in@internal"))

    with pytest.raises(EOFError):
        exec(shown(1), {"serve_with": serve_with})  # noqa: S102 - our own page
    assert served == ["/in", "/in"]
