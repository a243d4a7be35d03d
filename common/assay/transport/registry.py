"""Which peer stands behind which inner connection."""

from assay.errors import UnauthenticatedError
from assay.transport.peer import Peer

# How grpc writes the address of a peer whose socket is bound to an abstract name.
_PREFIX = "unix-abstract:"


class Registry:
    """Peers by the name their inner socket is bound to.

    A name must be removed before its socket closes: from then on the kernel would give it to anyone.
    """

    def __init__(self) -> None:
        self._peers: dict[str, Peer] = {}

    def __len__(self) -> int:
        return len(self._peers)

    def add(self, name: str, peer: Peer) -> None:
        """Let `peer` be found under `name`."""
        self._peers[name] = peer

    def remove(self, name: str) -> None:
        """Forget a name and let go of its peer; nothing happens if it is not known."""
        peer = self._peers.pop(name, None)
        if peer is not None:
            peer.close()

    def find(self, address: str) -> Peer:
        """The peer behind an address as grpc writes it.

        Raises:
            UnauthenticatedError: the connection did not come through the front, or is closed.
        """
        peer = self._peers.get(address.removeprefix(_PREFIX)) if address.startswith(_PREFIX) else None
        if peer is None:
            raise UnauthenticatedError("caller's connection is not known")
        return peer
