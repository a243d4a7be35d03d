"""Who stands behind an SVID that was issued earlier, now that the bundle has changed."""

from dataclasses import replace
from datetime import datetime

from assay.bundle import Bundle
from assay.crypto.certificate import load
from assay.crypto.ski import subject_key_id
from assay.svid import X509Svid
from assay.svid.refusal import RefusedError
from assay.svid.x509 import verify


def vouched(svid: X509Svid, bundle: Bundle, now: datetime) -> bool:
    """Whether an authority of its trust domain's bundle does that is not tainted."""
    sound = replace(bundle, x509_authorities=tuple(one for one in bundle.x509_authorities if not one.tainted))
    try:
        verify(svid.chain, {bundle.trust_domain: sound}, now)
    except RefusedError:
        return False
    return True


def sound_authorities(bundle: Bundle) -> frozenset[bytes]:
    """The X.509 authorities (DER) that are not tainted."""
    return frozenset(one.der for one in bundle.x509_authorities if not one.tainted)


def tainted_keys(bundle: Bundle) -> frozenset[str]:
    """The subject key IDs, in hex, of the X.509 authorities that nothing may be left under."""
    tainted = [load(one.der).public_key() for one in bundle.x509_authorities if one.tainted]
    return frozenset(subject_key_id(key).hex() for key in tainted)
