"""Whose a SPIFFE ID is by its path, as in SPIRE: a server's, an agent's or a workload's.

Everything under /spire is reserved: /spire/server for servers, /spire/agent/... for agents. All else is for workloads.
"""

from assay.errors import InvalidArgumentError
from assay.spiffeid import SpiffeId, TrustDomain

RESERVED_PATH = "/spire"
SERVER_PATH = f"{RESERVED_PATH}/server"
AGENT_PREFIX = f"{RESERVED_PATH}/agent/"


def server_id(trust_domain: TrustDomain) -> SpiffeId:
    """The ID of the trust domain's servers."""
    return SpiffeId(trust_domain, SERVER_PATH)


def require_member(spiffe_id: SpiffeId, trust_domain: TrustDomain) -> None:
    """Refuse IDs outside the trust domain and the trust domain's own.

    Raises:
        InvalidArgumentError: it is one of these.
    """
    _require_own(spiffe_id, trust_domain)
    if not spiffe_id.path:
        raise InvalidArgumentError(f'"{spiffe_id}" is not a member of trust domain "{trust_domain}"; path is empty')


def require_agent(spiffe_id: SpiffeId, trust_domain: TrustDomain) -> None:
    """Refuse what is no agent's ID.

    Raises:
        InvalidArgumentError: foreign, without a path, or outside /spire/agent.
    """
    _require_path(spiffe_id, trust_domain, "an agent")
    if not spiffe_id.path.startswith(AGENT_PREFIX):
        raise InvalidArgumentError(
            f'"{spiffe_id}" is not an agent in trust domain "{trust_domain}"; path is not in the agent namespace',
            hint=f"agent IDs begin with {trust_domain.id}{AGENT_PREFIX}",
        )


def require_workload(spiffe_id: SpiffeId, trust_domain: TrustDomain) -> None:
    """Refuse IDs that no workload may have.

    Raises:
        InvalidArgumentError: foreign, without a path, or in the reserved namespace.
    """
    _require_path(spiffe_id, trust_domain, "a workload")
    if spiffe_id.path == RESERVED_PATH or spiffe_id.path.startswith(f"{RESERVED_PATH}/"):
        raise InvalidArgumentError(
            f'"{spiffe_id}" is not a workload in trust domain "{trust_domain}"; path is in the reserved namespace',
            hint="paths under /spire belong to servers and agents",
        )


def _require_own(spiffe_id: SpiffeId, trust_domain: TrustDomain) -> None:
    if not spiffe_id.member_of(trust_domain):
        raise InvalidArgumentError(f'"{spiffe_id}" is not a member of trust domain "{trust_domain}"')


def _require_path(spiffe_id: SpiffeId, trust_domain: TrustDomain, what: str) -> None:
    _require_own(spiffe_id, trust_domain)
    if not spiffe_id.path:
        raise InvalidArgumentError(f'"{spiffe_id}" is not {what} in trust domain "{trust_domain}"; path is empty')
