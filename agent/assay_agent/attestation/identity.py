"""Who the agent is: its SVID, the key that goes with it, and what it trusts the server by."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from assay.bundle import Bundle
from assay.errors import AssayError, FailedPreconditionError
from assay.keymanager.base import SigningKey
from assay.rotation import draw, renew_at
from assay.spiffeid import SpiffeId
from assay.svid import X509Svid
from assay_agent.storage.disk import AgentStorage

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class NodeSvid:
    """The agent's SVID, its key and the slot the key is in. With `reattestable` it is renewed by attesting again."""

    svid: X509Svid
    key: SigningKey
    slot: str
    reattestable: bool

    @property
    def spiffe_id(self) -> SpiffeId:
        """The agent's ID."""
        return self.svid.spiffe_id

    def renew_at(self, availability_target: float | None = None) -> float:
        """The Unix time at which to renew it."""
        return renew_at(self.svid.not_before, self.svid.not_after, draw(self.svid.chain[0]), availability_target)


class AgentIdentity:
    """The agent's SVID as it is now; there is none before the node is attested."""

    def __init__(self) -> None:
        self._node: NodeSvid | None = None

    @property
    def current(self) -> NodeSvid:
        """The SVID in use.

        Raises:
            FailedPreconditionError: the node is not attested yet.
        """
        if self._node is None:
            raise FailedPreconditionError("agent is not attested")
        return self._node

    @property
    def spiffe_id(self) -> SpiffeId | None:
        """The agent's ID, None before the node is attested."""
        return None if self._node is None else self._node.spiffe_id

    def use(self, node: NodeSvid) -> None:
        """From now on this one."""
        self._node = node

    def chain(self) -> Sequence[bytes]:
        """The SVID's chain (DER, leaf first); empty before the node is attested."""
        return () if self._node is None else self._node.svid.chain

    def credentials(self) -> tuple[Sequence[bytes], SigningKey] | None:
        """Chain (DER, leaf first) and key for TLS, if there are any."""
        return None if self._node is None else (self._node.svid.chain, self._node.key)


class TrustRoots:
    """The X.509 authorities of the own trust domain (DER), in memory and on disk."""

    def __init__(self, storage: AgentStorage) -> None:
        self._storage = storage
        self._current = storage.data.bundle

    def __call__(self) -> Sequence[bytes]:
        """The authorities now."""
        return self._current

    def adopt(self, authorities: Sequence[bytes]) -> None:
        """Trust these from now on, in memory only."""
        self._current = tuple(authorities)

    def update(self, bundle: Bundle) -> None:
        """Take the bundle's authorities. If the disk does not, they count until the restart."""
        if not bundle.x509_authorities:
            # Nothing could be dialled any more, and the next start would bootstrap anew.
            log.error("Bundle without X.509 authorities ignored", trust_domain_id=str(bundle.trust_domain.id))
            return
        self.adopt([authority.der for authority in bundle.x509_authorities])
        try:
            self._storage.store_bundle(self._current)
        except AssayError as error:
            log.error("Could not store bundle", error=str(error))  # noqa: TRY400 - the disk's state, no bug
