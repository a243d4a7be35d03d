"""Credentials: what is in them, how they are signed, and the last look before they leave."""

from assay_server.credential.authorities import Authorities, JwtSigner, X509Signer
from assay_server.credential.issuer import CredentialSettings, IssuedJwt, IssuedX509, Issuer
from assay_server.credential.subject import Subject

__all__ = [
    "Authorities",
    "CredentialSettings",
    "IssuedJwt",
    "IssuedX509",
    "Issuer",
    "JwtSigner",
    "Subject",
    "X509Signer",
]
