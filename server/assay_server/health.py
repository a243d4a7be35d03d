"""What is looked at of a server to tell whether it is well; names and details are SPIRE's."""

from collections.abc import Mapping
from pathlib import Path

from assay.crypto import keys
from assay.errors import AssayError
from assay.health.state import Check, State, of_error
from assay.keymanager.base import KeyType
from assay.rpc.client import Channel
from assay.rpc.message import MAX_MESSAGE_BYTES
from assay.rpc.status import EndError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.wire.service import bundle_stub
from assay.workloadapi.address import Endpoint
from assay_proto.spire.api.server.bundle.v1.bundle_pb2 import GetBundleRequest
from assay_server.ca import CaManager
from assay_server.credential import Issuer
from assay_server.datastore.base import Store

# In a row, of one kind of key.
ROTATION_FAILURES = 10
_TIMEOUT = 30.0  # seconds


def server_checks(
    store: Store, trust_domain: TrustDomain, ca: CaManager, issuer: Issuer, socket_path: Path
) -> Mapping[str, Check]:
    """The checks by their names."""
    key = keys.generate(KeyType.EC_P256).public_key()
    nobody = SpiffeId(trust_domain, "/for/health/check/only")

    async def datastore() -> State:
        try:
            await store.read(lambda tx: tx.bundles.count())
        except AssayError as error:
            return of_error("list_bundle_err", error.message)
        return of_error("list_bundle_err", "")

    async def api() -> State:
        return of_error("get_bundle_err", await _ask(socket_path))

    async def signing() -> State:
        try:
            issuer.workload_x509(key, nobody)
        except AssayError as error:
            return of_error("sign_x509_svid_err", error.message)
        return of_error("sign_x509_svid_err", "")

    async def rotation() -> State:
        failing = ca.failed_rotations > ROTATION_FAILURES
        return of_error("rotation_err", "rotations exceed the threshold number of failures" if failing else "")

    return {"catalog.datastore": datastore, "server": api, "server.ca": signing, "server.ca.rotator": rotation}


async def _ask(socket_path: Path) -> str:
    """Why the admin socket does not answer; empty if it does."""
    channel = Channel(Endpoint.of_path(socket_path).connect, max_message=MAX_MESSAGE_BYTES)
    try:
        await bundle_stub(channel).GetBundle(GetBundleRequest(), timeout=_TIMEOUT)
    except EndError as error:
        return f"unable to fetch bundle: {error.message}"
    except (AssayError, OSError) as error:
        return f"unable to fetch bundle: {error}"
    finally:
        await channel.close()
    return ""
