"""The proof: a nonce from each side, hashed together and signed with the certificate's key (SPIRE's wire form)."""

import base64
import hashlib
import json
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from assay.errors import InvalidArgumentError, PermissionDeniedError
from assay_server.plugins.nodeattestor_x509pop.payload import blob, is_list, is_object, members, unfit

NONCE_BYTES = 32
# Longer than any signature of a key that is accepted: what follows need not read megabytes as a number.
_MAX_SIGNATURE_BYTES = 2048

ProofKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey


def certificates_in(payload: bytes) -> list[bytes]:
    """The certificates (DER, leaf first) of an attestation payload.

    Raises:
        InvalidArgumentError: not the JSON it should be.
    """
    field = "AttestationData.certificates"
    with _reading("failed to unmarshal data"):
        listed = members(payload, "AttestationData").get("certificates")
        if listed is None:
            return []
        if not is_list(listed):
            raise unfit(listed, f"struct field {field} of type [][]uint8")
        return [blob(item, field) for item in listed]


def proof_key(leaf: x509.Certificate) -> ProofKey:
    """The key that has to be proven.

    Raises:
        PermissionDeniedError: not for signing, or of a kind the protocol has no signature for, such as Ed25519.
    """
    key = leaf.public_key()
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is None or not usage.digital_signature:
        raise PermissionDeniedError(
            "unable to generate challenge: certificate not intended for digital signature use",
            hint="issue node certificates with key usage digitalSignature",
        )
    if not isinstance(key, RSAPublicKey | EllipticCurvePublicKey):
        raise PermissionDeniedError(
            "unable to generate challenge: unsupported public key type", hint="use an RSA or ECDSA key"
        )
    return key


def new_nonce() -> bytes:
    """A nonce that was never used."""
    return secrets.token_bytes(NONCE_BYTES)


def challenge(key: ProofKey, nonce: bytes) -> bytes:
    """The challenge as it goes to the agent."""
    mine = {"nonce": base64.b64encode(nonce).decode()}
    rsa = isinstance(key, RSAPublicKey)
    document = {"rsa_signature": mine if rsa else None, "ecdsa_signature": None if rsa else mine}
    return json.dumps(document, separators=(",", ":")).encode()


def verify(key: ProofKey, nonce: bytes, response: bytes) -> None:
    """Check the agent's answer to a challenge with that nonce.

    Raises:
        InvalidArgumentError: not the JSON it should be.
        PermissionDeniedError: wrong kind of answer, a nonce of another length, or a signature that does not hold.
    """
    kind = "rsa" if isinstance(key, RSAPublicKey) else "ecdsa"
    parts = _parts(response, kind)
    if parts is None:
        raise _failed(f"expecting {kind.upper()} response")
    theirs = parts.get("nonce", b"")
    if len(theirs) != NONCE_BYTES:
        raise _failed("invalid response nonce")
    digest = hashlib.sha256(nonce + theirs).digest()
    try:
        if isinstance(key, RSAPublicKey):
            _verify_rsa(key, parts, digest)
        else:
            _verify_ecdsa(key, parts, digest)
    except (InvalidSignature, ValueError):
        raise _failed(f"{kind.upper()} signature verify failed") from None


def _verify_rsa(key: RSAPublicKey, parts: dict[str, bytes], digest: bytes) -> None:
    pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.AUTO)
    key.verify(_short(parts, "signature"), digest, pss, Prehashed(SHA256()))


def _verify_ecdsa(key: EllipticCurvePublicKey, parts: dict[str, bytes], digest: bytes) -> None:
    r, s = (int.from_bytes(_short(parts, name), "big") for name in ("r", "s"))
    key.verify(encode_dss_signature(r, s), digest, ECDSA(Prehashed(SHA256())))


def _short(parts: dict[str, bytes], name: str) -> bytes:
    value = parts.get(name, b"")
    if len(value) > _MAX_SIGNATURE_BYTES:
        raise ValueError("too long")
    return value


def _failed(why: str) -> PermissionDeniedError:
    return PermissionDeniedError(f"challenge response verification failed: {why}")


def _parts(response: bytes, kind: str) -> dict[str, bytes] | None:
    name = f"{kind}_signature"
    type_ = f"{kind.upper()}SignatureResponse"
    with _reading("unable to unmarshal challenge response"):
        answer = members(response, "Response").get(name)
        if answer is None:
            return None
        if not is_object(answer):
            raise unfit(answer, f"struct field Response.{name} of type x509pop.{type_}")
        return {part: blob(value, f"{type_}.{name}.{part}") for part, value in answer.items()}


@contextmanager
def _reading(failing: str) -> Generator[None]:
    try:
        yield
    except ValueError as error:
        raise InvalidArgumentError(f"{failing}: {error}") from None
