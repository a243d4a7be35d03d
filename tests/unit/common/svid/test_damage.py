"""Bytes that went wrong on the way, or that a stranger made wrong: refused, and never an internal error."""

import contextlib
import random
from collections.abc import Callable

import pytest

from assay.bundle import jwks, pem
from assay.crypto import csr
from assay.errors import AssayError
from assay.svid import X509Svid, jwt
from assay.svid.x509 import verify, verify_roots
from assay.testing.authority import Authority, Ca, subject
from assay.testing.clock import START
from assay.wire import bundle as bundle_wire
from assay_proto.spire.api.types.bundle_pb2 import Bundle, X509Certificate

HOME = Authority()
BUNDLES = {HOME.trust_domain: HOME.bundle}
SVID = HOME.x509_svid(issuer=Ca.create("middle", issuer=HOME.root), dns_names=["a.b"])
LEAF, MIDDLE = SVID.chain


def on_the_wire(root: bytes) -> None:
    bundle_wire.from_proto(Bundle(trust_domain="td", x509_authorities=[X509Certificate(asn1=root)]))


READERS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "leaf": (LEAF, lambda data: verify([data, MIDDLE], BUNDLES, START)),
    "intermediate": (MIDDLE, lambda data: verify([LEAF, data], BUNDLES, START)),
    "root": (HOME.root.der, lambda data: verify_roots(SVID.chain, {HOME.trust_domain: [data]}, START)),
    "own SVID": (LEAF, lambda data: X509Svid.parse([data, MIDDLE], SVID.key)),
    "own SVID as PEM": (SVID.chain_pem(), lambda data: X509Svid.from_pem(data, SVID.key_pem())),
    "PEM bundle": (SVID.chain_pem(), pem.parse),
    "authority on the wire": (HOME.root.der, on_the_wire),
    "request": (csr.create(HOME.root.key, subject("web")), lambda data: csr.parse(data).dns_names),
    "token": (HOME.jwt_svid().encode(), lambda data: jwt.verify(data.decode("latin-1"), BUNDLES, "audience", START)),
    "JWKS bundle": (jwks.emit(HOME.bundle), lambda data: jwks.emit(jwks.parse(HOME.trust_domain, data))),
}


@pytest.mark.filterwarnings("ignore")  # cryptography remarks upon odd certificates
@pytest.mark.parametrize("name", READERS)
def test_damage_is_refused_or_does_no_harm(name: str) -> None:
    data, read = READERS[name]
    read(data)
    chance = random.Random(name)  # noqa: S311 - the same damage in each run
    for _ in range(400):
        with contextlib.suppress(AssayError):  # anything else that is raised fails the test
            read(damaged(data, chance))


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The data with a few bytes changed, lost or added."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(changed))
        match chance.randrange(6):
            case 0:
                del changed[at]
            case 1:
                changed.insert(at, chance.randrange(256))
            case _:
                changed[at] = chance.randrange(256)
    return bytes(changed)


def test_a_version_that_does_not_exist_is_refused() -> None:
    """One that cryptography reports by an error of its own kind."""
    version_3 = bytes.fromhex("a003020102")
    with pytest.raises(AssayError, match="not a valid X509 version"):
        X509Svid.parse([LEAF.replace(version_3, bytes.fromhex("a003020109"))])
