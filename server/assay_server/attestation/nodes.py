"""What operators and agents do with attested nodes: look, ban, delete, renew, report."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from assay.clock import Clock
from assay.errors import DenialReason, InvalidArgumentError, NotFoundError, PermissionDeniedError
from assay.spiffeid import SpiffeId
from assay_server.attestation.csr import agent_key
from assay_server.attestation.identity import JOIN_TOKEN
from assay_server.attestation.tokens import is_token_alias
from assay_server.authorization.nodes import NodeRows
from assay_server.credential import IssuedX509, Issuer
from assay_server.datastore.base import NodeFilter, Page, Store, Transaction
from assay_server.model import Node

log = structlog.get_logger(__name__)

MAX_VERSION_BYTES = 255


@dataclass(frozen=True, slots=True)
class NodeService:
    """Attested nodes; every write goes through `rows`, so that the next RPC sees it."""

    store: Store
    rows: NodeRows
    issuer: Issuer
    clock: Clock

    async def list(self, where: NodeFilter, page: Page) -> tuple[list[Node], str]:
        """Nodes and the token of the next page."""
        return await self.store.read(lambda tx: tx.nodes.find(where, page))

    async def count(self, where: NodeFilter) -> int:
        """How many there are."""
        return await self.store.read(lambda tx: tx.nodes.count(where))

    async def get(self, agent: SpiffeId) -> Node:
        """One node.

        Raises:
            NotFoundError: it is not attested.
        """
        node = await self.store.read(lambda tx: tx.nodes.get(agent))
        if node is None:
            raise _not_found()
        return node

    async def ban(self, agent: SpiffeId) -> None:
        """Let the agent neither call nor attest again until it is deleted.

        Raises:
            NotFoundError: it is not attested.
        """
        await self.rows.write(agent, lambda tx: _change(tx, agent, _ban))
        log.info("Agent banned", spiffe_id=str(agent))

    async def delete(self, agent: SpiffeId) -> None:
        """Forget the agent, a ban included, and the alias entry that came with its join token.

        Raises:
            NotFoundError: it is not attested.
        """
        await self.rows.write(agent, lambda tx: delete_node(tx, _existing(tx, agent)))
        log.info("Agent deleted", spiffe_id=str(agent))

    async def renew(self, agent: SpiffeId, csr: bytes | None) -> IssuedX509:
        """Sign a new SVID for the agent; the present one stays good until the agent calls with the new one.

        `csr` is None when the agent sent no parameters at all.

        Raises:
            NotFoundError: it is not attested.
            PermissionDeniedError: it must attest again instead, or was banned meanwhile.
            InvalidArgumentError: the CSR is missing or bad.
        """
        node = await self.rows.get(agent)
        if node is None:
            raise _not_found()
        if node.can_reattest:
            raise PermissionDeniedError("agent must reattest instead of renew", reason=DenialReason.AGENT_MUST_REATTEST)
        if csr is None:
            raise InvalidArgumentError("params cannot be nil")
        log.info("Renewing agent SVID", caller_id=str(agent))
        svid = self.issuer.agent_x509(agent_key(csr), agent)
        await self.rows.write(agent, lambda tx: _renew(tx, agent, svid))
        return svid

    async def post_status(self, agent: SpiffeId, version: str) -> None:
        """Keep the agent's version; written only when it differs.

        Raises:
            InvalidArgumentError: longer than 255 bytes.
            NotFoundError: it is not attested.
        """
        if len(version.encode()) > MAX_VERSION_BYTES:
            raise InvalidArgumentError(f"agent version is too long (max {MAX_VERSION_BYTES} characters)")
        node = await self.rows.get(agent)
        if version and (node is None or node.agent_version != version):
            await self.rows.write(
                agent, lambda tx: _change(tx, agent, lambda known: replace(known, agent_version=version))
            )
            log.debug("Agent status updated", spiffe_id=str(agent), agent_version=version)


def delete_node(tx: Transaction, node: Node) -> None:
    """Remove the row; with a join-token agent goes the alias entry made for its token."""
    if node.attestation_type == JOIN_TOKEN:
        for entry in tx.entries.by_parents([node.spiffe_id]):
            if is_token_alias(entry, node.spiffe_id):
                tx.entries.delete(entry.id)
    tx.nodes.delete(node.spiffe_id)


def _not_found() -> NotFoundError:
    return NotFoundError("agent not found", hint="`assay node list` shows the attested agents")


def _existing(tx: Transaction, agent: SpiffeId) -> Node:
    node = tx.nodes.get(agent)
    if node is None:
        raise _not_found()
    return node


def _change(tx: Transaction, agent: SpiffeId, change: Callable[[Node], Node]) -> None:
    node = _existing(tx, agent)
    if (changed := change(node)) != node:
        tx.nodes.put(changed)


def _ban(node: Node) -> Node:
    return replace(node, serial="", new_serial="")


def _renew(tx: Transaction, agent: SpiffeId, svid: IssuedX509) -> None:
    node = _existing(tx, agent)
    if node.banned:
        raise PermissionDeniedError(f'agent "{agent}" is banned', reason=DenialReason.AGENT_BANNED)
    tx.nodes.put(replace(node, new_serial=svid.serial, new_expires_at=svid.not_after))
