"""The standing of an agent's SVID, in SPIRE's order of checks."""

import pytest

from assay.errors import DenialReason
from assay.spiffeid import SpiffeId
from assay_server.authorization.agent import AgentDeniedError, Standing, check_agent
from assay_server.authorization.caller import Credential
from assay_server.model import Node

AGENT = SpiffeId.parse("spiffe://example.org/spire/agent/x509pop/one")
NODE = Node(AGENT, "x509pop", serial="5", expires_at=100, new_serial="6", new_expires_at=200)
BANNED = Node(AGENT, "x509pop", serial="", expires_at=100)


def credential(serial: str = "5", expires_at: int = 100) -> Credential:
    return Credential(AGENT, serial, expires_at)


def test_the_current_serial_is_current() -> None:
    assert check_agent(credential(), NODE, 50) is Standing.CURRENT


def test_the_new_serial_is_renewed() -> None:
    assert check_agent(credential("6"), NODE, 50) is Standing.RENEWED


@pytest.mark.parametrize(
    ("shown", "node", "now", "reason", "message", "line"),
    [
        (credential("7"), None, 100.5, DenialReason.AGENT_EXPIRED, "SVID is expired", "Agent SVID is expired"),
        (credential(), None, 50, DenialReason.AGENT_NOT_ATTESTED, "is not attested", "Agent is not attested"),
        (credential(), BANNED, 50, DenialReason.AGENT_BANNED, "is banned", "Agent is banned"),
        (credential(""), BANNED, 50, DenialReason.AGENT_BANNED, "is banned", "Agent is banned"),
        (credential("7"), NODE, 50, DenialReason.AGENT_NOT_ACTIVE, 'number "5"; has "7"', "Agent SVID is not active"),
    ],
)
def test_refusals_in_order(
    shown: Credential, node: Node | None, now: float, reason: DenialReason, message: str, line: str
) -> None:
    with pytest.raises(AgentDeniedError, match=message) as refused:
        check_agent(shown, node, now)
    assert refused.value.reason is reason
    assert refused.value.log_message == line
    assert f'agent "{AGENT}"' in refused.value.message


def test_the_last_second_still_counts() -> None:
    assert check_agent(credential(), NODE, 100) is Standing.CURRENT


def test_an_empty_new_serial_admits_nobody() -> None:
    node = Node(AGENT, "x509pop", serial="5", expires_at=100)
    with pytest.raises(AgentDeniedError):
        check_agent(credential(""), node, 50)
