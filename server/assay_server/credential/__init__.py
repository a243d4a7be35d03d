"""Credentials: what is in them, how they are signed, and the last look before they leave."""

from assay_server.credential.authorities import Authorities, JwtSigner, WitSigner, X509Signer
from assay_server.credential.issuer import CredentialSettings, IssuedJwt, IssuedWit, Issuer
from assay_server.credential.leaf import IssuedX509, LeafOrder
from assay_server.credential.subject import Subject

__all__ = [
    "Authorities",
    "CredentialSettings",
    "IssuedJwt",
    "IssuedWit",
    "IssuedX509",
    "Issuer",
    "JwtSigner",
    "LeafOrder",
    "Subject",
    "WitSigner",
    "X509Signer",
]
