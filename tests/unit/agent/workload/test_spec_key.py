"""The private key on the wire, of each kind that an operator may ask for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from assay.crypto.keys import generate
from assay.keymanager import KeyType
from assay.svid import X509Svid
from assay.testing.authority import Authority, leaf_extensions, subject
from assay.workloadapi.wire import METADATA, Stub
from assay_proto.workloadapi import workloadapi_pb2 as pb

if TYPE_CHECKING:
    from tests.unit.agent.conftest import LocalAgent


@pytest.mark.spec("WAPI-5.1-b", "WAPI-5.2.1-c")
@pytest.mark.parametrize("kind", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
async def test_it_is_plain_pkcs_8(agent: LocalAgent, stub: Stub, authority: Authority, kind: KeyType) -> None:
    key = generate(kind)
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
    (sent,) = (await anext(aiter(stub.fetch_x509_svid(pb.X509SVIDRequest(), metadata=METADATA)))).svids
    read = load_der_private_key(sent.x509_svid_key, password=None)
    # Readers take other forms too, so the bytes themselves are compared.
    assert sent.x509_svid_key == read.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert read.public_key() == x509.load_der_x509_certificate(sent.x509_svid).public_key()
