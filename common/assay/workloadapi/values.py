"""What the Workload API answers, as values; a response that lacks what it must have is refused whole (section 4.5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from google.protobuf.json_format import MessageToDict

from assay.crypto.certificate import load
from assay.crypto.der import split
from assay.errors import AssayError
from assay.spiffeid import SpiffeId, TrustDomain
from assay.svid import WitSvid, X509Svid
from assay.workloadapi.errors import MalformedResponseError
from assay_proto.workloadapi import workloadapi_pb2 as pb

# Beyond it a double may stand for several integers.
MAX_EXACT = 2**53


@dataclass(frozen=True, slots=True)
class HintedX509Svid:
    """An X.509-SVID with its key, and what the operator says it is for."""

    svid: X509Svid
    hint: str = ""

    @property
    def spiffe_id(self) -> SpiffeId:
        """Whose it is."""
        return self.svid.spiffe_id


@dataclass(frozen=True, slots=True)
class HintedJwtSvid:
    """A JWT-SVID, a secret, and what the operator says it is for."""

    spiffe_id: SpiffeId
    token: str = field(repr=False)
    hint: str = ""


@dataclass(frozen=True, slots=True)
class HintedWitSvid:
    """A WIT-SVID with its private key, and what the operator says it is for."""

    svid: WitSvid
    hint: str = ""

    @property
    def spiffe_id(self) -> SpiffeId:
        """Whose it is."""
        return self.svid.spiffe_id


@dataclass(frozen=True, slots=True)
class X509Context:
    """Everything for X.509: the SVIDs, the default one first, and CA certificates (DER) by trust domain."""

    svids: tuple[HintedX509Svid, ...]
    bundles: Mapping[TrustDomain, tuple[bytes, ...]]

    @property
    def default(self) -> X509Svid:
        """The workload's default identity (Workload API, section 8)."""
        return self.svids[0].svid


@dataclass(frozen=True, slots=True)
class ValidatedJwt:
    """A JWT-SVID that the agent found valid."""

    spiffe_id: SpiffeId
    claims: Mapping[str, Any]


def x509_context(response: pb.X509SVIDResponse) -> X509Context:
    """From FetchX509SVID's response.

    Raises:
        MalformedResponseError: a mandatory field is missing, or a certificate is not what the response says.
    """
    if not response.svids:
        raise _missing("svids")
    bundles = _x509_bundles(response.federated_bundles)
    svids: list[HintedX509Svid] = []
    for one in response.svids:
        svid = _x509_svid(one)
        bundles[svid.spiffe_id.trust_domain] = _certificates(one.bundle)
        svids.append(HintedX509Svid(svid, one.hint))
    return X509Context(tuple(svids), bundles)


def x509_bundles(bundles: Mapping[str, bytes]) -> dict[TrustDomain, tuple[bytes, ...]]:
    """CA certificates (DER) by trust domain."""
    if not bundles:
        raise _missing("bundles")
    return _x509_bundles(bundles)


def _x509_bundles(bundles: Mapping[str, bytes]) -> dict[TrustDomain, tuple[bytes, ...]]:
    return {_trust_domain(key): _certificates(value, empty=True) for key, value in bundles.items()}


def jwt_bundles(bundles: Mapping[str, bytes]) -> dict[TrustDomain, bytes]:
    """JWK Set documents by trust domain."""
    if not bundles:
        raise _missing("bundles")
    return {_trust_domain(key): value for key, value in bundles.items()}


def jwt_svids(response: pb.JWTSVIDResponse) -> tuple[HintedJwtSvid, ...]:
    """From FetchJWTSVID's response."""
    if not response.svids:
        raise _missing("svids")
    return tuple(_jwt_svid(one) for one in response.svids)


def wit_svids(response: pb.WITSVIDResponse) -> tuple[HintedWitSvid, ...]:
    """From FetchWITSVID's response."""
    if not response.svids:
        raise _missing("svids")
    return tuple(_wit_svid(one) for one in response.svids)


def wit_bundles(bundles: Mapping[str, str]) -> dict[TrustDomain, str]:
    """JWK Set documents by trust domain."""
    if not bundles:
        raise _missing("bundles")
    return {_trust_domain(key): value for key, value in bundles.items()}


def validated(response: pb.ValidateJWTSVIDResponse) -> ValidatedJwt:
    """From ValidateJWTSVID's response."""
    if not response.HasField("claims"):
        raise _missing("claims")
    return ValidatedJwt(_spiffe_id(response.spiffe_id), _whole(MessageToDict(response.claims)))


def _whole(value: object) -> Any:  # noqa: ANN401 - any JSON
    """With dates and other whole numbers as such: on the wire every number is a double."""
    match value:
        case dict():
            return {name: _whole(one) for name, one in cast("dict[str, object]", value).items()}
        case list():
            return [_whole(one) for one in cast("list[object]", value)]
        case float() if value.is_integer() and abs(value) <= MAX_EXACT:
            return int(value)
        case _:
            return value


def _x509_svid(one: pb.X509SVID) -> X509Svid:
    if not (one.x509_svid and one.x509_svid_key and one.bundle):
        raise _missing("x509_svid, x509_svid_key or bundle")
    stated = _spiffe_id(one.spiffe_id)
    try:
        svid = X509Svid.parse(split(one.x509_svid), one.x509_svid_key)
    except AssayError as error:
        raise _malformed(str(error)) from None
    if svid.spiffe_id != stated:
        raise _malformed(f"the certificate is that of {svid.spiffe_id}, not of {stated}")
    return svid


def _jwt_svid(one: pb.JWTSVID) -> HintedJwtSvid:
    if not one.svid:
        raise _missing("svid")
    return HintedJwtSvid(_spiffe_id(one.spiffe_id), one.svid, one.hint)


def _wit_svid(one: pb.WITSVID) -> HintedWitSvid:
    from assay.svid import wit  # noqa: PLC0415 - few ask for one, and the agent itself imports this

    if not (one.wit_svid and one.wit_svid_key):
        raise _missing("wit_svid or wit_svid_key")
    stated = _spiffe_id(one.spiffe_id)
    try:
        svid = wit.with_key(wit.parse(one.wit_svid), one.wit_svid_key)
    except AssayError as error:
        raise _malformed(error.message) from None
    if svid.spiffe_id != stated:
        raise _malformed(f"the token is that of {svid.spiffe_id}, not of {stated}")
    return HintedWitSvid(svid, one.hint)


def _spiffe_id(text: str) -> SpiffeId:
    try:
        return SpiffeId.parse(text)
    except AssayError as error:
        raise _malformed(str(error)) from None


def _trust_domain(key: str) -> TrustDomain:
    found = _spiffe_id(key)
    if found.path:
        raise _malformed(f"bundle of {key}, which is no trust domain")
    return found.trust_domain


def _certificates(data: bytes, *, empty: bool = False) -> tuple[bytes, ...]:
    try:
        certificates: Sequence[bytes] = split(data)
        for certificate in certificates:
            load(certificate)
    except AssayError as error:
        raise _malformed(str(error)) from None
    if not certificates and not empty:
        raise _missing("bundle")
    return tuple(certificates)


def _missing(what: str) -> AssayError:
    return _malformed(f"{what} missing")


def _malformed(why: str) -> AssayError:
    return MalformedResponseError(f"malformed Workload API response: {why}")
