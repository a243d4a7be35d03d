"""SVIDs: X.509 (X509-SVID) and JWT (JWT-SVID)."""

from assay.svid.jwtsvid import JwtSvid
from assay.svid.x509svid import X509Svid

__all__ = ["JwtSvid", "X509Svid"]
