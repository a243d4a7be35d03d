"""The certificate authority: keys and their turns, the journal, what is published of them."""

from assay_server.ca.manager import CaManager
from assay_server.ca.settings import CaSettings
from assay_server.credential import Authorities, JwtSigner, WitSigner, X509Signer

__all__ = ["Authorities", "CaManager", "CaSettings", "JwtSigner", "WitSigner", "X509Signer"]
