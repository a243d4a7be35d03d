"""This process as a workload, blocking."""

from pathlib import Path

import grpc

from assay.testing.operator import PATIENCE, dialled
from assay_proto.workloadapi import workloadapi_pb2 as pb

FETCH = "/SpiffeWorkloadAPI/FetchX509SVID"
HEADER = (("workload.spiffe.io", "true"),)


def svids(socket: Path) -> frozenset[str]:
    """The SPIFFE IDs of this process's X.509-SVIDs; none as well when the agent does not answer."""
    with dialled(socket) as channel:
        fetch = channel.unary_stream(FETCH, pb.X509SVIDRequest.SerializeToString, pb.X509SVIDResponse.FromString)
        try:
            response = next(fetch(pb.X509SVIDRequest(), metadata=HEADER, timeout=PATIENCE))
        except grpc.RpcError:
            return frozenset()
    return frozenset(svid.spiffe_id for svid in response.svids)
