"""Registration entries: which SPIFFE ID goes to workloads with which selectors below which parent."""

from dataclasses import dataclass

from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain


@dataclass(frozen=True, slots=True)
class Entry:
    """A registration entry as it is stored and handed to agents. Times are Unix seconds, TTLs seconds.

    A zero TTL stands for the server's default, a zero `expires_at` for never. Selectors are sorted and distinct.

    A binding names its governed `principal`; while that is not active the entry is `withheld` and grants nothing. With
    `instance_from`, a selector's type and key such as `unix:process`, each copy that runs has a SPIFFE ID of its own.
    """

    id: str
    spiffe_id: SpiffeId
    parent_id: SpiffeId
    selectors: tuple[Selector, ...]
    x509_svid_ttl: int = 0
    jwt_svid_ttl: int = 0
    federates_with: tuple[TrustDomain, ...] = ()
    dns_names: tuple[str, ...] = ()
    hint: str = ""
    admin: bool = False
    downstream: bool = False
    store_svid: bool = False
    disable_x509_svid_prefetch: bool = False
    jwt_svid_include_jti: bool = False
    principal: str = ""
    instance_from: str = ""
    withheld: bool = False
    expires_at: int = 0
    revision: int = 0
    created_at: int = 0
