"""Revocation lists, which an agent may send and ours never does."""

from typing import Any

import pytest

from assay.testing.authority import Authority
from assay.workloadapi import WorkloadApiClient
from assay_proto.workloadapi import workloadapi_pb2 as pb


@pytest.mark.spec("WAPI-5.1-e")
@pytest.mark.parametrize("lists", [[], [b"one", b"two"]])
async def test_they_may_be_there_or_not(
    api: Any,  # noqa: ANN401 - a fixture of conftest.py, which cannot be named here
    client: WorkloadApiClient,
    authority: Authority,
    lists: list[bytes],
) -> None:
    svid = authority.x509_svid("/web")
    sent = pb.X509SVID(
        spiffe_id=str(svid.spiffe_id),
        x509_svid=b"".join(svid.chain),
        x509_svid_key=svid.key_pkcs8,
        bundle=authority.root.der,
    )
    api.answers = [pb.X509SVIDResponse(svids=[sent], crl=lists)]
    context = await client.fetch_x509()
    assert context.default.spiffe_id == svid.spiffe_id
    assert context.bundles == {authority.trust_domain: (authority.root.der,)}
    api.answers = [pb.X509BundlesResponse(bundles={"spiffe://example.org": authority.root.der}, crl=lists)]
    assert await anext(client.watch_x509_bundles()) == {authority.trust_domain: (authority.root.der,)}
