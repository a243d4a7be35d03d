"""What running daemons say: the server's bundle, and the SVIDs that the agent gives to this process."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from assay.cli.admin import connect
from assay.cli.doctor.finding import Finding, failed, skipped
from assay.cli.doctor.life import Life, check_svid
from assay.errors import AssayError, PermissionDeniedError
from assay.wire.service import bundle_stub
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay_proto.spire.api.server.bundle.v1.bundle_pb2 import GetBundleRequest

TIMEOUT = 5.0  # seconds


async def server_authorities(path: Path) -> Sequence[bytes] | Finding:
    """The CA certificates (DER) of the server behind that admin socket, or why they are not to be had."""
    try:
        async with connect(path) as channel:
            bundle = await bundle_stub(channel).GetBundle(GetBundleRequest(), timeout=TIMEOUT)
    except AssayError as error:
        return skipped("server bundle", error.message, error.hint)
    return [one.asn1 for one in bundle.x509_authorities]


async def check_workload(path: Path, now: datetime) -> Finding:
    """What this process gets from the Workload API."""
    check = "workload API"
    try:
        async with WorkloadApiClient(Endpoint.of_path(path)) as client:
            context = await client.fetch_x509(within=TIMEOUT)
    except PermissionDeniedError:
        advice = "`assay explain --pid PID` says why, of a process that ought to have one"
        return skipped(check, "answers; no entry gives this process an identity, so no SVID was looked at", advice)
    except AssayError as error:
        return failed(check, error.message, error.hint or "see the agent's log")
    first = min(context.svids, key=lambda one: Life.of(one.svid.chain[0]).ends)
    found = check_svid(check, Life.of(first.svid.chain[0]), now, "see the agent's log: it ought to renew SVIDs")
    return Finding(found.check, found.status, f"{first.svid.spiffe_id} {found.seen}", found.advice)
