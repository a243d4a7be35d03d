"""X.509-SVIDs with RSA keys, which an operator may ask for: the wire is the same."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key

from assay.svid import X509Svid
from assay.testing.authority import Authority, leaf_extensions, subject
from assay.workloadapi.wire import METADATA, Stub
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.agent.conftest import LocalAgent


@pytest.mark.spec("WAPI-5.1-b", "WAPI-5.2.1-c")
async def test_the_key_is_pkcs_8_whatever_its_kind(agent: LocalAgent, stub: Stub, authority: Authority) -> None:
    key = rsa.generate_private_key(65537, 2048)
    builder = x509.CertificateBuilder(
        issuer_name=authority.root.certificate.subject,
        subject_name=subject("leaf"),
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=authority.now - timedelta(seconds=10),
        not_valid_after=authority.now + timedelta(hours=1),
    )
    for extension, critical in leaf_extensions(str(authority.id("/web"))):
        builder = builder.add_extension(extension, critical=critical)
    leaf = builder.sign(authority.root.key, SHA256()).public_bytes(Encoding.DER)
    agent.register("a", "/web")
    agent.cache.set_svid("a", X509Svid.parse([leaf], key))
    response = await anext(aiter(stub.fetch_x509_svid(pb.X509SVIDRequest(), metadata=METADATA)))
    sent = load_der_private_key(response.svids[0].x509_svid_key, password=None)
    assert isinstance(sent, rsa.RSAPrivateKey)
    assert sent.public_key() == x509.load_der_x509_certificate(response.svids[0].x509_svid).public_key()
