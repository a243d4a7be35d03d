"""Whether an agent's SVID is still good, by its node row: SPIRE's checks in SPIRE's order, as a pure decision."""

from enum import Enum

from assay.errors import DenialReason, PermissionDeniedError
from assay_server.authorization.caller import Credential
from assay_server.model import Node


class Standing(Enum):
    """What an SVID that is admitted is: the current one, or a renewed one that is used for the first time."""

    CURRENT = "current"
    RENEWED = "renewed"


class AgentDeniedError(PermissionDeniedError):
    """An agent's SVID is refused; `log_message` is SPIRE's line for it."""

    def __init__(self, message: str, reason: DenialReason, log_message: str) -> None:
        super().__init__(message, reason=reason)
        self.log_message = log_message


def check_agent(credential: Credential, node: Node | None, now: float) -> Standing:
    """Decide on an SVID and the row of the agent it names; `now` in Unix seconds.

    Raises:
        AgentDeniedError: expired, not attested, banned, or another SVID has taken its place.
    """
    agent = credential.spiffe_id
    if now > credential.expires_at:
        raise AgentDeniedError(f'agent "{agent}" SVID is expired', DenialReason.AGENT_EXPIRED, "Agent SVID is expired")
    if node is None:
        raise AgentDeniedError(
            f'agent "{agent}" is not attested', DenialReason.AGENT_NOT_ATTESTED, "Agent is not attested"
        )
    if not node.serial:
        raise AgentDeniedError(f'agent "{agent}" is banned', DenialReason.AGENT_BANNED, "Agent is banned")
    if credential.serial == node.serial:
        return Standing.CURRENT
    if node.new_serial and credential.serial == node.new_serial:
        return Standing.RENEWED
    raise AgentDeniedError(
        f'agent "{agent}" expected to have serial number "{node.serial}"; has "{credential.serial}"',
        DenialReason.AGENT_NOT_ACTIVE,
        "Agent SVID is not active",
    )
