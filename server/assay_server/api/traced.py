"""What a span round an RPC says of its caller, and whose traces are continued."""

from assay.rpc.method import Context
from assay.rpc.server import peer_of
from assay.rpc.status import Metadata
from assay.telemetry.tracing import Attributes
from assay.transport.peer import TlsPeer
from assay_server.authorization.caller import admitted_caller

KIND, ID = "assay.caller.kind", "assay.caller.spiffe_id"


def continued(context: Context) -> Metadata:
    """What came with a call, unless it came from nobody: whoever comes would decide what is sent."""
    peer = peer_of(context)
    if isinstance(peer, TlsPeer) and peer.spiffe_id is None:
        return ()
    return context.invocation_metadata() or ()


def caller_attributes(context: Context) -> Attributes:
    """Who called: as what it was admitted, and the ID that it showed whether or not it was."""
    caller, peer = admitted_caller(), peer_of(context)
    shown = peer.spiffe_id if isinstance(peer, TlsPeer) else None
    kind = {KIND: caller.kind.value} if caller is not None else {}
    return {**kind, ID: str(shown)} if shown is not None else kind
