"""The IDs that attestation gives to agents."""

from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.namespace import AGENT_PREFIX, SERVER_PATH, require_agent
from assay.spiffeid import SpiffeId, TrustDomain

JOIN_TOKEN = "join_token"  # noqa: S105 - an attestor's name


def join_token_agent(trust_domain: TrustDomain, token: str) -> SpiffeId:
    """The agent that the token admits.

    Raises:
        InvalidArgumentError: the token cannot stand in a SPIFFE ID.
    """
    if "/" in token:
        raise InvalidArgumentError("join token cannot contain a slash")
    return SpiffeId(trust_domain, f"{AGENT_PREFIX}{JOIN_TOKEN}/{token}")


def require_attested(spiffe_id: SpiffeId, trust_domain: TrustDomain) -> None:
    """Check the ID that an attestor gave a node.

    Raises:
        FailedPreconditionError: the server's own ID, or none of an agent; the plugin's configuration is at fault.
    """
    if spiffe_id.path == SERVER_PATH:
        raise FailedPreconditionError("agent ID cannot collide with the server ID")
    try:
        require_agent(spiffe_id, trust_domain)
    except InvalidArgumentError as error:
        raise FailedPreconditionError(
            f"invalid agent ID: {error.message}", hint="mend the node attestor's agent_path_template"
        ) from None
