"""Checkpoints: how many records there were and the hash of the last, signed (JWS, RFC 7515) by the ledger's own key."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from assay.bundle import jwk
from assay.crypto.keys import PublicKey, to_pkix
from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.keymanager.base import SigningKey
from assay.spiffeid import TrustDomain
from assay.svid import compact
from assay.svid.refusal import SvidRefusedError

TYPE = "assay-checkpoint+jwt"
ALGORITHM = "ES256"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The first `count` records end in one of the hash `head`; `at` in Unix seconds, `incarnation` the store's.

    Records that were pruned count: `count` is the number of the last record.
    """

    trust_domain: TrustDomain
    count: int
    head: str
    at: int
    incarnation: str


class ForeignSignatureError(InvalidArgumentError):
    """A checkpoint that none of the known keys signed."""


def public_jwk(key: PublicKey) -> dict[str, str]:
    """The key as it is published: with its name (RFC 7638) and what it is for."""
    members = jwk.emit(key)
    return {**members, "kid": jwk.thumbprint(members), "use": "sig", "alg": ALGORITHM}


def sign(key: SigningKey, checkpoint: Checkpoint) -> str:
    """The checkpoint in compact form.

    Raises:
        FailedPreconditionError: the key is none for ES256.
    """
    public = key.public_key()
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise FailedPreconditionError("the ledger's key is not one of P-256", hint="remove it from the key manager")
    header = {"alg": ALGORITHM, "typ": TYPE, "kid": jwk.thumbprint(jwk.emit(public))}
    payload = {
        "iss": str(checkpoint.trust_domain.id),
        "count": checkpoint.count,
        "head": checkpoint.head,
        "iat": checkpoint.at,
        "incarnation": checkpoint.incarnation,
    }
    return compact.sign(header, payload, key)


class CheckpointKeys:
    """The public keys that checkpoints are taken from, by their names."""

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self._keys = {jwk.thumbprint(jwk.emit(key)): to_pkix(key) for key in keys}

    def verified(self, token: str) -> Checkpoint:
        """What it says.

        Raises:
            ForeignSignatureError: none of these keys signed it.
            InvalidArgumentError: it is no checkpoint.
        """
        try:
            header, payload = compact.split(token)
            if header.get("typ") != TYPE or header.get("alg") != ALGORITHM:
                raise InvalidArgumentError("not a checkpoint of a ledger")
            key = self._keys.get(str(header.get("kid")))
            if key is None:
                raise ForeignSignatureError(f"it names the key {str(header.get('kid'))[:80]!r}, which is not known")
            compact.check_signature(token, header, key)
        except SvidRefusedError as error:
            raise ForeignSignatureError(error.message) from None
        return _said(payload)


def _said(payload: Mapping[str, object]) -> Checkpoint:
    match payload:
        case {"iss": str(issuer), "count": int(count), "head": str(head), "iat": int(at), "incarnation": str(name)}:
            return Checkpoint(TrustDomain.parse(issuer), count, head, at, name)
        case _:
            raise InvalidArgumentError("a checkpoint that does not say what it is of")
