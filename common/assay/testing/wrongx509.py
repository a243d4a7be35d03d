"""Certificates that every validator must refuse, each for one reason only (X509-SVID, sections 4 and 5)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from assay.spiffeid import SpiffeId
from assay.svid import X509Svid
from assay.svid.refusal import Reason
from assay.testing.authority import HOUR, Ca, Extensions, key_usage, leaf_extensions
from assay.testing.issuer import Issuer, create_ca, stranger


class WrongX509Svid(Enum):
    """What is wrong with a chain that is right otherwise.

    Attributes:
        reason: what `assay.verify` answers.
        words: what is wrong, in words.
    """

    EXPIRED = (Reason.EXPIRED, "its end was an hour ago")
    NOT_YET_VALID = (Reason.NOT_YET_VALID, "it begins in an hour")
    UNTRUSTED = (Reason.UNTRUSTED, "an impostor's CA of the same name signed it")
    SELF_SIGNED = (Reason.UNTRUSTED, "it is signed by its own key")
    FOREIGN = (Reason.UNKNOWN_TRUST_DOMAIN, "it is of a trust domain that nobody federates with")
    ISSUED_BY_LEAF = (Reason.UNTRUSTED, "a workload signed it with its own X.509-SVID")
    NO_INTERMEDIATE = (Reason.UNTRUSTED, "the intermediate that signed it is not in the chain")
    TAMPERED = (Reason.UNTRUSTED, "its signature was changed")
    TWO_URIS = (Reason.NOT_AN_SVID, "it has two SPIFFE IDs, the right one and /admin")
    NO_URI = (Reason.NOT_AN_SVID, "it has no SPIFFE ID, only a DNS name")
    NOT_A_SPIFFE_ID = (Reason.NOT_AN_SVID, "its URI is that of a web page")
    NO_PATH = (Reason.NOT_AN_SVID, "its SPIFFE ID is that of the trust domain, which no workload has")
    CA = (Reason.NOT_A_LEAF, "its CA flag is set")
    CERT_SIGN = (Reason.NOT_A_LEAF, "its key usage has keyCertSign")
    CRL_SIGN = (Reason.NOT_A_LEAF, "its key usage has cRLSign")

    def __init__(self, reason: Reason, words: str) -> None:
        self.reason = reason
        self.words = words


@dataclass(frozen=True, slots=True)
class _Right:
    """The right chain, to be made wrong in one thing."""

    issuer: Issuer
    spiffe_id: SpiffeId
    now: datetime
    ttl: int

    def issued(
        self, by: Ca, spiffe_id: SpiffeId | None = None, *, chain: Sequence[bytes] = (), late: int = 0
    ) -> X509Svid:
        """An ordinary leaf, signed by that CA, `late` seconds later than now."""
        extensions = leaf_extensions(str(spiffe_id or self.spiffe_id))
        leaf, key = by.issue(extensions, now=self.now + timedelta(seconds=late), lifetime=self.ttl)
        return self.svid([leaf, *chain], key, spiffe_id)

    def with_extensions(self, extensions: Extensions) -> X509Svid:
        """Signed as it should be, with these extensions."""
        leaf, key = self.issuer.ca.issue(extensions, now=self.now, lifetime=self.ttl)
        return self.svid([leaf], key)

    def usable_as(self, *usages: str) -> X509Svid:
        """With that key usage."""
        return self.with_extensions(_replaced(leaf_extensions(str(self.spiffe_id)), key_usage(*usages)))

    def svid(
        self, chain: Sequence[bytes], key: ec.EllipticCurvePrivateKey, spiffe_id: SpiffeId | None = None
    ) -> X509Svid:
        """As a value; `X509Svid.parse` would refuse many of these."""
        leaf = x509.load_der_x509_certificate(chain[0])
        return X509Svid(
            spiffe_id=spiffe_id or self.spiffe_id,
            chain=tuple(chain),
            key=key,
            not_before=int(leaf.not_valid_before_utc.timestamp()),
            not_after=int(leaf.not_valid_after_utc.timestamp()),
        )


def _replaced(extensions: Extensions, value: x509.ExtensionType) -> Extensions:
    return [(value if type(one) is type(value) else one, critical) for one, critical in extensions]


def _named(right: _Right, *uris: str, dns_names: Sequence[str] = ()) -> X509Svid:
    return right.with_extensions(leaf_extensions(*uris, dns_names=dns_names))


def _self_signed(right: _Right) -> X509Svid:
    extensions = leaf_extensions(str(right.spiffe_id))
    own = Ca.create("leaf", now=right.now, lifetime=right.ttl, extensions=extensions)
    return right.svid([own.der], own.key)


def _foreign(right: _Right) -> X509Svid:
    other = stranger(right.now)
    return right.issued(other.ca, SpiffeId(other.trust_domain, right.spiffe_id.path))


def _issued_by_leaf(right: _Right) -> X509Svid:
    extensions = leaf_extensions(str(right.spiffe_id))
    workload = Ca.create("leaf", issuer=right.issuer.ca, now=right.now, lifetime=right.ttl, extensions=extensions)
    return right.issued(workload, chain=[workload.der])


def _tampered(right: _Right) -> X509Svid:
    svid = right.issued(right.issuer.ca)
    (leaf,) = svid.chain
    return replace(svid, chain=(leaf[:-1] + bytes([leaf[-1] ^ 1]),))


_MAKERS: Mapping[WrongX509Svid, Callable[[_Right], X509Svid]] = {
    WrongX509Svid.EXPIRED: lambda right: right.issued(right.issuer.ca, late=-right.ttl - HOUR),
    WrongX509Svid.NOT_YET_VALID: lambda right: right.issued(right.issuer.ca, late=HOUR),
    WrongX509Svid.UNTRUSTED: lambda right: right.issued(create_ca(right.issuer.trust_domain, right.now)),
    WrongX509Svid.SELF_SIGNED: _self_signed,
    WrongX509Svid.FOREIGN: _foreign,
    WrongX509Svid.ISSUED_BY_LEAF: _issued_by_leaf,
    WrongX509Svid.NO_INTERMEDIATE: lambda right: right.issued(
        Ca.create("intermediate", issuer=right.issuer.ca, now=right.now)
    ),
    WrongX509Svid.TAMPERED: _tampered,
    WrongX509Svid.TWO_URIS: lambda right: _named(
        right, str(right.spiffe_id), f"{right.spiffe_id.trust_domain.id}/admin"
    ),
    WrongX509Svid.NO_URI: lambda right: _named(right, dns_names=["workload.example.com"]),
    WrongX509Svid.NOT_A_SPIFFE_ID: lambda right: _named(right, f"https://example.com{right.spiffe_id.path}"),
    WrongX509Svid.NO_PATH: lambda right: _named(right, str(right.spiffe_id.trust_domain.id)),
    WrongX509Svid.CA: lambda right: right.with_extensions(
        _replaced(leaf_extensions(str(right.spiffe_id)), x509.BasicConstraints(ca=True, path_length=None))
    ),
    WrongX509Svid.CERT_SIGN: lambda right: right.usable_as("digital_signature", "key_cert_sign"),
    WrongX509Svid.CRL_SIGN: lambda right: right.usable_as("digital_signature", "crl_sign"),
}


def wrong_x509_svid(wrong: WrongX509Svid, issuer: Issuer, spiffe_id: SpiffeId, now: datetime, ttl: int) -> X509Svid:
    """A chain for that ID with that fault, and its key."""
    return _MAKERS[wrong](_Right(issuer, spiffe_id, now, ttl))
