"""Names of keys: RFC 7638's own example, and a library of others."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from assay.bundle import jwk

EXAMPLE = {
    "alg": "RS256",
    "kid": "2011-04-29",
    "kty": "RSA",
    "n": (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
        "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
        "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
        "kEgU8awapJzKnqDKgw"
    ),
    "e": "AQAB",
}


def test_the_example_of_the_rfc() -> None:
    """RFC 7638 section 3.1."""
    assert jwk.thumbprint(EXAMPLE) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521"])
def test_a_library_of_others_says_the_same(curve: str) -> None:
    theirs = ECKey.generate_key(curve)
    public = theirs.public_key
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert jwk.thumbprint(jwk.emit(public)) == theirs.thumbprint()
