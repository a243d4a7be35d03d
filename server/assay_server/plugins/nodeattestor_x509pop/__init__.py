"""Node attestation by X.509 proof of possession: a certificate of the operator's PKI and a signature with its key."""

from assay_server.plugins.nodeattestor_x509pop.attestor import X509PopAttestor
from assay_server.plugins.nodeattestor_x509pop.config import X509PopConfig

__all__ = ["X509PopAttestor", "X509PopConfig"]
