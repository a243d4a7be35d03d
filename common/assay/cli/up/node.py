"""What the node proves itself by: a certificate of its own small CA, for the x509pop attestor.

A join token would do for the first time only; with a certificate the agent can attest again whenever it has to, so
that a folder left alone for a month still works.
"""

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from assay.crypto.keys import generate, to_pem
from assay.errors import FailedPreconditionError
from assay.files import write_private
from assay.keymanager.base import KeyType, SigningKey
from assay.namespace import AGENT_PREFIX
from assay.spiffeid import SpiffeId, TrustDomain

LIFE = timedelta(days=3650)
BACKDATE = timedelta(minutes=1)


class NodeCertificate:
    """The node's certificate, its key and its CA, as PEM files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.ca = folder / "ca.pem"
        self.certificate = folder / "node.pem"
        self.key = folder / "node.key"

    def ensure(self, now: datetime) -> None:
        """Make what is not there; the certificate last, so that an interrupted run begins anew."""
        if self.certificate.exists():
            return
        self.ca.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca_key, node_key = generate(KeyType.EC_P256), generate(KeyType.EC_P256)
        ca_name, node_name = _name("assay up node CA"), _name("assay up node")
        ca = _sign(ca_name, ca_key, ca_name, ca_key, now, ca=True)
        node = _sign(node_name, node_key, ca_name, ca_key, now, ca=False)
        write_private(self.ca, ca.public_bytes(Encoding.PEM))
        write_private(self.key, to_pem(node_key))
        write_private(self.certificate, node.public_bytes(Encoding.PEM))

    def agent_id(self, trust_domain: TrustDomain) -> SpiffeId:
        """The ID that the server gives an agent with this certificate.

        Raises:
            FailedPreconditionError: the file is not a certificate.
        """
        try:
            der = x509.load_pem_x509_certificate(self.certificate.read_bytes()).public_bytes(Encoding.DER)
        except ValueError:
            hint = "delete the folder to begin anew"
            raise FailedPreconditionError(f"{self.certificate} is damaged", hint=hint) from None
        fingerprint = hashlib.sha1(der, usedforsecurity=False).hexdigest()
        return SpiffeId(trust_domain, f"{AGENT_PREFIX}x509pop/{fingerprint}")


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _sign(
    name: x509.Name, key: SigningKey, issuer: x509.Name, issuer_key: SigningKey, now: datetime, *, ca: bool
) -> x509.Certificate:
    usage = x509.KeyUsage(
        digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, SHA256())
    )
