"""The agent's end of x509pop: the node has a certificate and proves that it holds the key."""

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from assay.errors import AssayError, FailedPreconditionError, InvalidArgumentError
from assay.keymanager.base import SigningKey
from assay.plugin.nodeattestor import AgentConversation, AgentNodeAttestor

NAME = "x509pop"
NONCE_BYTES = 32

_Message: TypeAlias = Mapping[str, Mapping[str, str] | None]


class X509PopAttestor:
    """Reads certificate, key and intermediates (PEM files) at each attestation, so that renewed ones are seen."""

    type = NAME

    def __init__(self, certificate_path: Path, private_key_path: Path, intermediates_path: Path | None = None) -> None:
        self._certificate = certificate_path
        self._key = private_key_path
        self._intermediates = intermediates_path

    @classmethod
    def configure(cls, data: Mapping[str, object]) -> "X509PopAttestor":
        """From `plugin_data`.

        Raises:
            InvalidArgumentError: a path is missing.
        """
        for key in ("private_key_path", "certificate_path"):
            if not data.get(key):
                raise InvalidArgumentError(f"nodeattestor(x509pop): {key} is required")
        intermediates = str(data.get("intermediates_path") or "").strip()
        return cls(
            Path(str(data["certificate_path"])),
            Path(str(data["private_key_path"])),
            Path(intermediates) if intermediates else None,
        )

    async def begin(self) -> AgentConversation:
        """Start over with what the disk holds now.

        Raises:
            FailedPreconditionError: a file cannot be read, or certificate and key do not belong together.
        """
        chain, key = _load_pair(self._certificate, self._key)
        if self._intermediates is not None:
            chain += _load_certificates(self._intermediates)
        return Proof.of([one.public_bytes(Encoding.DER) for one in chain], key)


def configure(data: Mapping[str, object]) -> AgentNodeAttestor:
    """The one that `plugin_data` asks for: a Workload API goes before files, as in SPIRE.

    Raises:
        InvalidArgumentError: a path is missing, a key unknown, or the API's address is none.
    """
    known = {"certificate_path", "private_key_path", "intermediates_path", "spiffe_endpoint_socket"}
    for key in sorted(data.keys() - known):
        raise InvalidArgumentError(f"nodeattestor(x509pop): unknown key {key}")
    if address := data.get("spiffe_endpoint_socket"):
        from assay_agent.plugins.nodeattestor_x509pop_svid import SvidAttestor  # noqa: PLC0415 - where configured

        return SvidAttestor.configure(str(address))
    return X509PopAttestor.configure(data)


@dataclass(frozen=True, slots=True)
class Proof:
    """A conversation: the chain is shown, then the key is proven."""

    payload: bytes
    key: SigningKey = field(repr=False)

    @classmethod
    def of(cls, chain: Sequence[bytes], key: SigningKey) -> "Proof":
        """With that chain (DER, leaf first)."""
        certificates = [base64.b64encode(one).decode() for one in chain]
        return cls(json.dumps({"certificates": certificates}).encode(), key)

    async def answer(self, challenge: bytes) -> bytes:
        """Sign SHA-256 over the server's nonce and one of our own."""
        kind = "rsa_signature" if isinstance(self.key, RSAPrivateKey) else "ecdsa_signature"
        theirs = _nonce(challenge, kind)
        ours = secrets.token_bytes(NONCE_BYTES)
        signature = _sign(self.key, hashlib.sha256(theirs + ours).digest())
        response: _Message = {
            "rsa_signature": None,
            "ecdsa_signature": None,
            kind: {"nonce": _encode(ours), **signature},
        }
        return json.dumps(response).encode()


def _sign(key: SigningKey, digest: bytes) -> dict[str, str]:
    if isinstance(key, EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(digest, ECDSA(Prehashed(SHA256()))))
        return {"r": _encode(_big_endian(r)), "s": _encode(_big_endian(s))}
    pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.MAX_LENGTH)
    return {"signature": _encode(key.sign(digest, pss, Prehashed(SHA256())))}


def _nonce(challenge: bytes, kind: str) -> bytes:
    try:
        part = cast("_Message", json.loads(challenge)).get(kind)
        if part is None:
            raise AssayError(f"nodeattestor(x509pop): expecting {kind.removesuffix('_signature').upper()} challenge")
        nonce = base64.b64decode(part["nonce"], validate=True)
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise AssayError(f"nodeattestor(x509pop): unable to unmarshal challenge: {error}") from error
    if len(nonce) != NONCE_BYTES:
        raise AssayError("nodeattestor(x509pop): invalid challenge nonce")
    return nonce


def _load_pair(certificate: Path, key: Path) -> tuple[list[x509.Certificate], SigningKey]:
    chain = _load_certificates(certificate)
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise FailedPreconditionError(f"nodeattestor(x509pop): unable to load keypair: {error}") from error
    if not isinstance(private, EllipticCurvePrivateKey | RSAPrivateKey):
        raise FailedPreconditionError(
            "nodeattestor(x509pop): unsupported private key type", hint="use an RSA or an EC key"
        )
    if private.public_key() != chain[0].public_key():
        raise FailedPreconditionError("nodeattestor(x509pop): private key does not match public key of the certificate")
    return chain, private


def _load_certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise FailedPreconditionError(f"nodeattestor(x509pop): unable to load certificates: {error}") from error


def _big_endian(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()
