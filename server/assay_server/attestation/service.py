"""Node attestation: an unknown machine becomes an agent with an SVID (docs/architecture.md)."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import structlog

from assay.errors import AssayError, FailedPreconditionError, InvalidArgumentError, PermissionDeniedError
from assay.plugin.nodeattestor import AttestedNode, ServerNodeAttestor
from assay.selector import sorted_distinct
from assay.spiffeid import TrustDomain
from assay_server.attestation.csr import agent_key
from assay_server.attestation.identity import JOIN_TOKEN, require_attested
from assay_server.attestation.tokens import spend
from assay_server.authorization.nodes import NodeRows
from assay_server.credential import IssuedX509, Issuer
from assay_server.datastore.base import Transaction
from assay_server.model import Node

log = structlog.get_logger(__name__)

Challenge = Callable[[bytes], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Attestation:
    """What an agent begins with: the attestor's name, what the attestor is shown, and a signing request (DER)."""

    type: str
    payload: bytes
    csr: bytes


@dataclass(frozen=True, slots=True)
class AttestedAgent:
    """The outcome: an SVID, and whether the agent renews it by attesting again."""

    svid: IssuedX509
    can_reattest: bool


@dataclass(slots=True)
class AttestationService:
    """Attests nodes with the attestors that are configured, by name; others may take their place at any time.

    An attestation that is under way ends with the attestor that it began with.
    """

    trust_domain: TrustDomain
    attestors: Mapping[str, ServerNodeAttestor]
    rows: NodeRows
    issuer: Issuer

    async def attest(self, request: Attestation, challenge: Challenge, address: str = "") -> AttestedAgent:
        """Let the attestor decide what the node is, sign its SVID and write the row; `challenge` asks the agent.

        Raises:
            InvalidArgumentError: something is missing, the CSR is bad, or the attestor refuses what it was shown.
            FailedPreconditionError: no such attestor, or it names an ID that no agent may have.
            PermissionDeniedError: not admitted, or banned.
        """
        _check_complete(request)
        attested = await self._identify(request, challenge)
        agent = attested.spiffe_id
        require_attested(agent, self.trust_domain)
        # The transaction judges by the row as it is then; to look for it before would cost as much as to sign in vain.
        if (known := self.rows.known(agent)) is not None and known.banned:
            raise _banned()
        svid = self.issuer.agent_x509(agent_key(request.csr), agent)
        await self.rows.write(agent, lambda tx: _admit(tx, request, _node(request.type, attested, svid)))
        log.info("Agent attestation request completed", agent_id=str(agent), node_attestor_type=request.type,
                 address=address)  # fmt: skip
        return AttestedAgent(svid, attested.can_reattest)

    async def _identify(self, request: Attestation, challenge: Challenge) -> AttestedNode:
        attestor = self.attestors.get(request.type)
        if attestor is None:
            raise FailedPreconditionError(
                f'error getting node attestor: could not find node attestor type "{request.type}"',
                hint="name it in the server's plugins block",
            )
        try:
            return await attestor.attest(request.payload, challenge)
        except AssayError as error:
            if request.type != JOIN_TOKEN:  # SPIRE's servers handle tokens themselves; a plugin's words carry its name
                error.message = f"nodeattestor({request.type}): {error.message}"
            raise


def _check_complete(request: Attestation) -> None:
    missing = (
        "CSR" if not request.csr
        else "attestation data type" if not request.type
        else "attestation data payload" if not request.payload
        else ""
    )  # fmt: skip
    if missing:
        raise InvalidArgumentError(f"malformed param: missing {missing}")


def _banned() -> PermissionDeniedError:
    return PermissionDeniedError("failed to attest: agent is banned", hint="`assay node evict` lifts the ban")


def _node(kind: str, attested: AttestedNode, svid: IssuedX509) -> Node:
    return Node(
        spiffe_id=attested.spiffe_id,
        attestation_type=kind,
        serial=svid.serial,
        expires_at=svid.not_after,
        can_reattest=attested.can_reattest,
        selectors=sorted_distinct(attested.selectors),
    )


def _admit(tx: Transaction, request: Attestation, node: Node) -> None:
    if request.type == JOIN_TOKEN:
        spend(tx, request.payload.decode(errors="replace"))
    _put(tx, node)


def _put(tx: Transaction, node: Node) -> None:
    known = tx.nodes.get(node.spiffe_id)
    if known is not None and known.banned:
        raise _banned()
    tx.nodes.put(replace(node, agent_version=known.agent_version) if known is not None else node)
