"""Validation of X.509-SVIDs (X509-SVID section 5): RFC 5280 path validation, then the SPIFFE rules for leaves.

Path building and validation are cryptography's. URI name constraints, which it cannot evaluate, make a chain
invalid rather than being passed over (section 4.2).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.x509 import verification

from assay.bundle import Bundle
from assay.crypto.certificate import DAMAGE, extensions_of, load
from assay.errors import InvalidArgumentError, UnauthenticatedError
from assay.spiffeid import SpiffeId, TrustDomain

MAX_INTERMEDIATES = 8


def verify(chain: Sequence[bytes], bundles: Mapping[TrustDomain, Bundle], now: datetime) -> SpiffeId:
    """The SPIFFE ID of a chain (DER, leaf first) that an authority of the ID's own trust domain stands behind.

    Raises:
        UnauthenticatedError: the chain is not valid now, or there is no bundle for its trust domain.
    """
    leaf, intermediates = _load(chain)
    spiffe_id = _leaf_id(leaf)
    bundle = bundles.get(spiffe_id.trust_domain)
    roots = [authority.der for authority in bundle.x509_authorities] if bundle else []
    _verify_path(leaf, intermediates, roots, spiffe_id.trust_domain, now)
    return spiffe_id


def verify_roots(chain: Sequence[bytes], roots: Mapping[TrustDomain, Sequence[bytes]], now: datetime) -> SpiffeId:
    """As `verify`, from CA certificates (DER) by trust domain."""
    leaf, intermediates = _load(chain)
    spiffe_id = _leaf_id(leaf)
    _verify_path(leaf, intermediates, roots.get(spiffe_id.trust_domain, ()), spiffe_id.trust_domain, now)
    return spiffe_id


def leaf_id(leaf: x509.Certificate) -> SpiffeId:
    """The SPIFFE ID of a leaf certificate, once it keeps the rules of section 5.2; signatures are not looked at.

    Raises:
        InvalidArgumentError: it can sign certificates, does not have exactly one URI name, or that one is not a
            SPIFFE ID with a path.
    """
    extensions = extensions_of(leaf)
    _check_not_signing(extensions)
    spiffe_id = SpiffeId.parse(_only_uri(extensions))
    if not spiffe_id.path:
        raise InvalidArgumentError("leaf certificate's SPIFFE ID has no path")
    return spiffe_id


def _check_not_signing(extensions: x509.Extensions) -> None:
    for extension in extensions:
        match extension.value:
            case x509.BasicConstraints(ca=True):
                raise InvalidArgumentError("leaf certificate has CA flag set to true")
            case x509.KeyUsage(key_cert_sign=True):
                raise InvalidArgumentError("leaf certificate has KeyCertSign key usage set")
            case x509.KeyUsage(crl_sign=True):
                raise InvalidArgumentError("leaf certificate has CrlSign key usage set")
            case _:
                pass


def _only_uri(extensions: x509.Extensions) -> str:
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise InvalidArgumentError("certificate contains no URI SAN") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if not uris:
        raise InvalidArgumentError("certificate contains no URI SAN")
    if len(uris) > 1:
        raise InvalidArgumentError("certificate contains more than one URI SAN")
    return uris[0]


def _load(chain: Sequence[bytes]) -> tuple[x509.Certificate, list[x509.Certificate]]:
    if not chain:
        raise UnauthenticatedError("empty certificates chain")
    try:
        leaf, *intermediates = [load(one) for one in chain]
    except InvalidArgumentError as error:
        raise UnauthenticatedError(error.message) from None
    return leaf, intermediates


def _leaf_id(leaf: x509.Certificate) -> SpiffeId:
    try:
        return leaf_id(leaf)
    except InvalidArgumentError as error:
        raise UnauthenticatedError(error.message, hint=error.hint) from None


def _verify_path(
    leaf: x509.Certificate,
    intermediates: list[x509.Certificate],
    roots: Sequence[bytes],
    trust_domain: TrustDomain,
    now: datetime,
) -> None:
    if not roots:
        raise UnauthenticatedError(f'no X.509 bundle found for trust domain: "{trust_domain}"')
    try:
        store = verification.Store([load(root) for root in roots])
        policy = verification.PolicyBuilder().time(now).store(store).max_chain_depth(MAX_INTERMEDIATES)
        policy = policy.extension_policies(ca_policy=_signing_policy(), ee_policy=_leaf_policy())
        policy.build_client_verifier().verify(leaf, intermediates)
    except (verification.VerificationError, InvalidArgumentError, *DAMAGE) as error:
        raise UnauthenticatedError(f"X.509-SVID could not be verified: {_words(error)}") from None


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
