"""Who does something to governed objects, as their events say it."""

from assay.rpc import server
from assay.rpc.method import Context
from assay.transport.peer import UnixPeer
from assay_server.authorization.caller import current_caller


def actor_of(context: Context) -> str:
    """The caller's SPIFFE ID, or `local:<uid>` on the admin socket."""
    spiffe_id = current_caller().spiffe_id
    if spiffe_id is not None:
        return str(spiffe_id)
    peer = server.peer_of(context)
    return f"local:{peer.uid}" if isinstance(peer, UnixPeer) else "local"
