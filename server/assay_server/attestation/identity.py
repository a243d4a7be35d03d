"""Agent and workload IDs: which of them a request may name (SPIRE's reserved paths)."""

from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain

SERVER_PATH = "/spire/server"
AGENT_PREFIX = "/spire/agent/"
JOIN_TOKEN = "join_token"  # noqa: S105 - an attestor's name


def join_token_agent(trust_domain: TrustDomain, token: str) -> SpiffeId:
    """The agent that the token admits.

    Raises:
        InvalidArgumentError: the token cannot stand in a SPIFFE ID.
    """
    if "/" in token:
        raise InvalidArgumentError("join token cannot contain a slash")
    return SpiffeId(trust_domain, f"{AGENT_PREFIX}{JOIN_TOKEN}/{token}")


def require_agent(spiffe_id: SpiffeId, trust_domain: TrustDomain) -> None:
    """Check that the ID is an agent's.

    Raises:
        InvalidArgumentError: foreign, without a path, or outside /spire/agent.
    """
    _require_member(spiffe_id, trust_domain, "an agent")
    if not spiffe_id.path.startswith(AGENT_PREFIX):
        raise InvalidArgumentError(
            f'"{spiffe_id}" is not an agent in trust domain "{trust_domain}"; path is not in the agent namespace',
            hint=f"agent IDs begin with {trust_domain.id}{AGENT_PREFIX}",
        )


def require_workload(spiffe_id: SpiffeId, trust_domain: TrustDomain) -> None:
    """Check that the ID may be given to a workload.

    Raises:
        InvalidArgumentError: foreign, without a path, or under /spire.
    """
    _require_member(spiffe_id, trust_domain, "a workload")
    if spiffe_id.path == "/spire" or spiffe_id.path.startswith("/spire/"):
        raise InvalidArgumentError(
            f'"{spiffe_id}" is not a workload in trust domain "{trust_domain}"; path is in the reserved namespace',
            hint="paths under /spire belong to servers and agents",
        )


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


def _require_member(spiffe_id: SpiffeId, trust_domain: TrustDomain, what: str) -> None:
    if not spiffe_id.member_of(trust_domain):
        raise InvalidArgumentError(f'"{spiffe_id}" is not a member of trust domain "{trust_domain}"')
    if not spiffe_id.path:
        raise InvalidArgumentError(f'"{spiffe_id}" is not {what} in trust domain "{trust_domain}"; path is empty')
