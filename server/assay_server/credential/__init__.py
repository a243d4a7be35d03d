"""Credentials: what is in them, how they are signed, and the last look before they leave."""

from assay_server.credential.authorities import Authorities, JwtSigner, X509Signer
from assay_server.credential.issuer import CredentialSettings, IssuedJwt, Issuer
from assay_server.credential.leaf import IssuedX509, LeafOrder
from assay_server.credential.subject import Subject

__all__ = [
    "Authorities",
    "CredentialSettings",
    "IssuedJwt",
    "IssuedX509",
    "Issuer",
    "JwtSigner",
    "LeafOrder",
    "Subject",
    "X509Signer",
]
