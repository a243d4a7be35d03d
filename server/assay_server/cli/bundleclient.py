"""What `assay bundle` asks the server."""

from pathlib import Path

from assay.cli.admin import TIMEOUT, connect
from assay.wire.service import bundle_stub
from assay_proto.spire.api.server.bundle.v1 import bundle_pb2 as pb
from assay_proto.spire.api.types.bundle_pb2 import Bundle

PAGE = 100


async def own(socket_path: Path) -> Bundle:
    """The server's own."""
    async with connect(socket_path) as channel:
        return await bundle_stub(channel).GetBundle(pb.GetBundleRequest(), timeout=TIMEOUT)


async def get(socket_path: Path, trust_domain: str) -> Bundle:
    """That trust domain's."""
    async with connect(socket_path) as channel:
        request = pb.GetFederatedBundleRequest(trust_domain=trust_domain)
        return await bundle_stub(channel).GetFederatedBundle(request, timeout=TIMEOUT)


async def find(socket_path: Path) -> pb.ListFederatedBundlesResponse:
    """All of other trust domains, page by page."""
    found = pb.ListFederatedBundlesResponse()
    async with connect(socket_path) as channel:
        while True:
            request = pb.ListFederatedBundlesRequest(page_size=PAGE, page_token=found.next_page_token)
            page = await bundle_stub(channel).ListFederatedBundles(request, timeout=TIMEOUT)
            found.bundles.extend(page.bundles)
            found.next_page_token = page.next_page_token
            if not page.next_page_token:
                return found


async def put(socket_path: Path, bundle: Bundle) -> pb.BatchSetFederatedBundleResponse:
    """Keep it, in place of the one there is."""
    async with connect(socket_path) as channel:
        request = pb.BatchSetFederatedBundleRequest(bundle=[bundle])
        return await bundle_stub(channel).BatchSetFederatedBundle(request, timeout=TIMEOUT)


async def delete(socket_path: Path, trust_domain: str, mode: str) -> pb.BatchDeleteFederatedBundleResponse:
    """Forget that trust domain's; `mode` by its name in the protocol."""
    number = pb.BatchDeleteFederatedBundleRequest.Mode.Value(mode)
    async with connect(socket_path) as channel:
        request = pb.BatchDeleteFederatedBundleRequest(trust_domains=[trust_domain], mode=number)
        return await bundle_stub(channel).BatchDeleteFederatedBundle(request, timeout=TIMEOUT)


async def count(socket_path: Path) -> pb.CountBundlesResponse:
    """How many there are, our own with them."""
    async with connect(socket_path) as channel:
        return await bundle_stub(channel).CountBundles(pb.CountBundlesRequest(), timeout=TIMEOUT)
