"""SVIDs: X.509 (X509-SVID), JWT (JWT-SVID) and WIT (WIT-SVID)."""

from assay.svid.jwtsvid import JwtSvid
from assay.svid.witsvid import WitSvid
from assay.svid.x509svid import X509Svid

__all__ = ["JwtSvid", "WitSvid", "X509Svid"]
