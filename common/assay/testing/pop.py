"""A node that proves possession of its key (x509pop), written from the protocol's description; it can also fail to."""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256


def pop_payload(*certificates: bytes) -> bytes:
    """What such a node shows first: its certificates (DER, leaf first)."""
    return json.dumps({"certificates": [_base64(der) for der in certificates]}).encode()


@dataclass
class Prover:
    """Answers challenges with its key; `bend` spoils the answer (a JSON document) before it is sent."""

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    bend: Callable[[dict[str, Any]], object] = lambda answer: answer
    challenges: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def answer(self, challenge: bytes) -> bytes:
        """The response to one challenge, which is kept in `challenges`."""
        document = json.loads(challenge)
        self.challenges.append(document)
        kind = "rsa_signature" if isinstance(self.key, rsa.RSAPrivateKey) else "ecdsa_signature"
        theirs, mine = base64.b64decode(document[kind]["nonce"]), secrets.token_bytes(32)
        proof = {"nonce": _base64(mine), **self._signature(hashlib.sha256(theirs + mine).digest())}
        return json.dumps(self.bend({"rsa_signature": None, "ecdsa_signature": None, kind: proof})).encode()

    def _signature(self, digest: bytes) -> dict[str, str]:
        if isinstance(self.key, rsa.RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.MAX_LENGTH)
            return {"signature": _base64(self.key.sign(digest, pss, Prehashed(SHA256())))}
        r, s = decode_dss_signature(self.key.sign(digest, ec.ECDSA(Prehashed(SHA256()))))
        return {"r": _base64(_magnitude(r)), "s": _base64(_magnitude(s))}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _magnitude(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")
