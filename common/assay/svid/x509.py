"""Validation of X.509-SVIDs (X509-SVID section 5): RFC 5280 path validation, then the SPIFFE rules for leaves.

Path building and validation are cryptography's. URI name constraints, which it cannot evaluate, make a chain
invalid rather than being passed over (section 4.2).

What is signed cannot be altered; the signature around it can be written in more than one way, as ECDSA's (r, s) and
(r, n - s). So the bytes or the fingerprint of a certificate are not its identity.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtensionOID

from assay.bundle import Bundle
from assay.crypto.certificate import DAMAGE, dates_of, extensions_of, load
from assay.errors import AssayError, InvalidArgumentError
from assay.spiffeid import SpiffeId, SpiffeIdError, TrustDomain
from assay.svid.refusal import Reason, SvidRefusedError

MAX_INTERMEDIATES = 8

# Sets of parsed anchors that are kept: one for each state of each trust domain's bundle.
_STORES = 64


def verify(chain: Sequence[bytes], bundles: Mapping[TrustDomain, Bundle], now: datetime) -> SpiffeId:
    """The SPIFFE ID of a chain (DER, leaf first) that an authority of the ID's own trust domain stands behind.

    Raises:
        SvidRefusedError: the chain is not valid now, or there is no bundle for its trust domain.
    """
    leaf, intermediates = _load(chain)
    spiffe_id = _checked_id(leaf)
    bundle = bundles.get(spiffe_id.trust_domain)
    roots = tuple(authority.der for authority in bundle.x509_authorities) if bundle else ()
    _verify_path(leaf, intermediates, roots, spiffe_id, now)
    return spiffe_id


def verify_roots(chain: Sequence[bytes], roots: Mapping[TrustDomain, Sequence[bytes]], now: datetime) -> SpiffeId:
    """As `verify`, from CA certificates (DER) by trust domain."""
    leaf, intermediates = _load(chain)
    spiffe_id = _checked_id(leaf)
    _verify_path(leaf, intermediates, tuple(roots.get(spiffe_id.trust_domain, ())), spiffe_id, now)
    return spiffe_id


def verified_path(chain: Sequence[bytes], bundle: Bundle, now: datetime) -> Sequence[x509.Certificate]:
    """The certificates of an X.509-SVID from its leaf to, and with, the authority of `bundle` that stands behind it.

    Raises:
        SvidRefusedError: the chain (DER, leaf first) is not valid now, or no authority does.
    """
    leaf, intermediates = _load(chain)
    roots = tuple(authority.der for authority in bundle.x509_authorities)
    return _verify_path(leaf, intermediates, roots, _checked_id(leaf), now)


def certificate_id(certificate: x509.Certificate) -> SpiffeId | None:
    """The SPIFFE ID of any certificate, an authority's as well; None if it has none."""
    try:
        names = [one.value for one in extensions_of(certificate) if one.oid == ExtensionOID.SUBJECT_ALTERNATIVE_NAME]
        return SpiffeId.parse(_only_uri(names[0])) if names else None
    except (AssayError, *DAMAGE):
        return None


def leaf_id(leaf: x509.Certificate) -> SpiffeId:
    """The SPIFFE ID of a leaf certificate, once it keeps the rules of section 5.2; signatures are not looked at.

    Raises:
        InvalidArgumentError: it can sign certificates, does not have exactly one URI name, or that one is not a
            SPIFFE ID with a path.
    """
    try:
        return _checked_id(leaf)
    except SvidRefusedError as refusal:
        raise InvalidArgumentError(refusal.message, hint=refusal.hint) from None


def _checked_id(leaf: x509.Certificate) -> SpiffeId:
    try:
        # By name: to ask each for its class takes longer than to parse it.
        extensions = {one.oid: one.value for one in extensions_of(leaf)}
    except InvalidArgumentError as error:
        raise SvidRefusedError(Reason.MALFORMED, error.message) from None
    _check_not_signing(extensions)
    try:
        spiffe_id = SpiffeId.parse(_only_uri(extensions.get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)))
    except SpiffeIdError as error:
        raise SvidRefusedError(Reason.NOT_AN_SVID, error.message, hint=error.hint) from None
    if not spiffe_id.path:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "leaf certificate's SPIFFE ID has no path", spiffe_id=spiffe_id)
    return spiffe_id


def _check_not_signing(extensions: Mapping[x509.ObjectIdentifier, x509.ExtensionType]) -> None:
    match extensions.get(ExtensionOID.BASIC_CONSTRAINTS):
        case x509.BasicConstraints(ca=True):
            raise SvidRefusedError(Reason.NOT_A_LEAF, "leaf certificate has CA flag set to true")
        case _:
            pass
    match extensions.get(ExtensionOID.KEY_USAGE):
        case x509.KeyUsage(key_cert_sign=True):
            raise SvidRefusedError(Reason.NOT_A_LEAF, "leaf certificate has KeyCertSign key usage set")
        case x509.KeyUsage(crl_sign=True):
            raise SvidRefusedError(Reason.NOT_A_LEAF, "leaf certificate has CrlSign key usage set")
        case _:
            pass


def _only_uri(names: x509.ExtensionType | None) -> str:
    uris: list[str] = []
    if isinstance(names, x509.SubjectAlternativeName):
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if not uris:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "certificate contains no URI SAN")
    if len(uris) > 1:
        raise SvidRefusedError(Reason.NOT_AN_SVID, "certificate contains more than one URI SAN")
    return uris[0]


def _load(chain: Sequence[bytes]) -> tuple[x509.Certificate, list[x509.Certificate]]:
    if not chain:
        raise SvidRefusedError(Reason.NO_CREDENTIAL, "empty certificates chain")
    try:
        leaf, *intermediates = [load(one) for one in chain]
    except InvalidArgumentError as error:
        raise SvidRefusedError(Reason.MALFORMED, error.message) from None
    except TypeError:
        raise SvidRefusedError(Reason.MALFORMED, "no list of certificates as DER") from None
    return leaf, intermediates


def _verify_path(
    leaf: x509.Certificate,
    intermediates: list[x509.Certificate],
    roots: tuple[bytes, ...],
    spiffe_id: SpiffeId,
    now: datetime,
) -> Sequence[x509.Certificate]:
    if not roots:
        message = f'no X.509 bundle found for trust domain: "{spiffe_id.trust_domain}"'
        raise SvidRefusedError(Reason.UNKNOWN_TRUST_DOMAIN, message, spiffe_id=spiffe_id)
    try:
        policy = verification.PolicyBuilder().time(now).store(_store(roots)).max_chain_depth(MAX_INTERMEDIATES)
        policy = policy.extension_policies(ca_policy=_SIGNING, ee_policy=_LEAF)
        return policy.build_client_verifier().verify(leaf, intermediates).chain
    except (verification.VerificationError, InvalidArgumentError, *DAMAGE) as error:
        message = f"X.509-SVID could not be verified: {_words(error)}"
        raise SvidRefusedError(_reason(leaf, now), message, spiffe_id=spiffe_id) from None


@lru_cache(maxsize=_STORES)
def _store(roots: tuple[bytes, ...]) -> verification.Store:
    return verification.Store([load(root) for root in roots])


def _reason(leaf: x509.Certificate, now: datetime) -> Reason:
    """Of a chain that does not hold: the leaf's dates if these are wrong, else that nobody vouches for it."""
    try:
        begin, end = dates_of(leaf)
    except InvalidArgumentError:
        return Reason.MALFORMED
    if now > end:
        return Reason.EXPIRED
    return Reason.NOT_YET_VALID if now < begin else Reason.UNTRUSTED


def _words(error: Exception) -> str:
    """Why, in words that say what to look at; the library's name the search that failed, not what it looked for."""
    if "candidates exhausted" in str(error):
        return f"no authority of the trust domain's bundle vouches for it ({error})"
    return str(error)


def _leaf_policy() -> verification.ExtensionPolicy:
    # Webpki's defaults would want extended key usages and refuse names that SPIFFE allows; leaf_id has the rules.
    return verification.ExtensionPolicy.permit_all()


def _signing_policy() -> verification.ExtensionPolicy:
    either = verification.Criticality.AGNOSTIC
    policy = verification.ExtensionPolicy.permit_all()
    policy = policy.require_present(x509.BasicConstraints, either, None)
    return policy.may_be_present(x509.KeyUsage, either, _check_signs)


def _check_signs(_policy: verification.Policy, _issuer: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("a certificate of the chain lacks KeyCertSign")


_LEAF, _SIGNING = _leaf_policy(), _signing_policy()
