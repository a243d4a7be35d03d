"""Node attestation by X.509 proof of possession: an operator's certificate, or an X.509-SVID, and a signature."""

from assay_server.plugins.nodeattestor_x509pop.attestor import X509PopAttestor
from assay_server.plugins.nodeattestor_x509pop.config import X509PopConfig

__all__ = ["X509PopAttestor", "X509PopConfig"]
