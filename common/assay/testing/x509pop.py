"""Configurations whose node proves possession of a certificate's key, instead of showing a join token."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from assay.clock import SystemClock
from assay.testing.authority import Ca, leaf_extensions

JOIN_TOKEN_BLOCK = 'NodeAttestor "join_token" {\n        plugin_data {}'  # noqa: S105 - no secret


def use_x509pop(folder: Path) -> None:
    """Give the node of server.conf and agent.conf in that folder a certificate, by a CA that the server knows."""
    now = SystemClock().now()
    ca = Ca.create("nodes", now=now)
    der, key = ca.issue(leaf_extensions(), now=now)
    (folder / "nodes.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    (folder / "node.pem").write_bytes(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM))
    (folder / "node.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    _replace_attestor(folder / "server.conf", f'ca_bundle_path = "{folder}/nodes.pem"')
    _replace_attestor(
        folder / "agent.conf", f'private_key_path = "{folder}/node.key"\ncertificate_path = "{folder}/node.pem"'
    )


def _replace_attestor(conf: Path, data: str) -> None:
    text = conf.read_text()
    conf.write_text(text.replace(JOIN_TOKEN_BLOCK, f'NodeAttestor "x509pop" {{\n        plugin_data {{\n{data}\n}}'))
