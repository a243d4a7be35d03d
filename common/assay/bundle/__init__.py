"""Trust bundles: the authorities of one trust domain (Trust Domain and Bundle, sections 3 and 4)."""

from assay.bundle.bundle import Bundle, JwtAuthority, WitAuthority, X509Authority

__all__ = ["Bundle", "JwtAuthority", "WitAuthority", "X509Authority"]
