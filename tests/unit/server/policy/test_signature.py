"""Signatures of bundles."""

import base64
import json

import pytest

from assay.crypto.keys import generate
from assay.errors import InvalidArgumentError
from assay.keymanager.base import KeyType
from assay_server.policy.signature import Signed, sign, verified

SAID = Signed("sha-256:d", 3, 2)


@pytest.mark.parametrize("kind", list(KeyType))
def test_what_is_signed_is_read_again_with_the_keys_thumbprint(kind: KeyType) -> None:
    key = generate(kind)
    found = verified(sign(key, SAID))
    assert (found.digest, found.version, found.schema_version) == ("sha-256:d", 3, 2)
    assert found.signer == verified(sign(key, Signed("sha-256:e", 4, 2))).signer
    assert found.signer != verified(sign(generate(KeyType.EC_P256), SAID)).signer


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_what_was_not_signed_is_refused() -> None:
    head, body, tail = sign(generate(KeyType.EC_P256), SAID).split(".")
    other = sign(generate(KeyType.EC_P256), SAID).split(".")
    claims = {"digest": "sha-256:d", "version": 9, "schema_version": 2}
    none = part({"alg": "none", "typ": "assay-policy+jws"})
    bad = [f"{head}.{part(claims)}.{tail}", f"{other[0]}.{body}.{tail}", f"{none}.{body}.", "x", "", f"{head}.{body}."]
    for signature in bad:
        with pytest.raises(InvalidArgumentError):
            verified(signature)


def test_another_kind_of_token_is_no_signature() -> None:
    head, body, tail = sign(generate(KeyType.EC_P256), SAID).split(".")
    header = json.loads(base64.urlsafe_b64decode(head + "=="))
    for changed in ({**header, "typ": "JWT"}, {**header, "jwk": "x"}, {**header, "alg": "ES384"}):
        with pytest.raises(InvalidArgumentError):
            verified(f"{part(changed)}.{body}.{tail}")
