"""Signatures of bundles: a JWS (RFC 7515) over digest, version and schema version, with the key that made it as `jwk`.

The version is signed too, so that an old bundle cannot be pushed again as if it were new.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from assay.bundle import jwk
from assay.crypto.keys import to_pkix
from assay.errors import InvalidArgumentError
from assay.governed.digest import digest
from assay.keymanager.base import SigningKey
from assay.svid import compact
from assay.svid.refusal import SvidRefusedError
from assay.svid.witkey import algorithm_of, fits

TYPE = "assay-policy+jws"


@dataclass(frozen=True, slots=True)
class Signed:
    """What a signature says, and whose it is: the thumbprint of the key."""

    digest: str
    version: int
    schema_version: int
    signer: str = ""


def sign(key: SigningKey, said: Signed) -> str:
    """The signature in compact form."""
    algorithm = algorithm_of(key)
    header = {"alg": algorithm, "typ": TYPE, "jwk": jwk.emit(key.public_key())}
    payload = {"digest": said.digest, "version": said.version, "schema_version": said.schema_version}
    return compact.sign(header, payload, key)


def verified(signature: str) -> Signed:
    """What it says.

    Raises:
        InvalidArgumentError: it is no such signature, or not by the key it names.
    """
    try:
        header, payload = compact.split(signature)
        named = header.get("jwk")
        if header.get("typ") != TYPE or not isinstance(named, Mapping):
            raise InvalidArgumentError("signature is not one of a policy bundle")
        key = jwk.parse(named)  # pyright: ignore[reportUnknownArgumentType] - which looks at every member
        if not fits(key, str(header["alg"])):
            raise InvalidArgumentError("signature names an algorithm that is not its key's")
        compact.check_signature(signature, header, to_pkix(key))
        return _said(payload, digest(jwk.emit(key)))
    except SvidRefusedError as error:
        raise InvalidArgumentError(f"signature of the bundle: {error.message}") from None


def _said(payload: Mapping[str, object], signer: str) -> Signed:
    match payload:
        case {"digest": str(found), "version": int(version), "schema_version": int(schema_version)}:
            return Signed(found, version, schema_version, signer)
        case _:
            raise InvalidArgumentError("signature does not say digest, version and schema version")
