"""Every refusal has its reason as data, and the ID if that much was read."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509

from assay.errors import Kind, UnauthenticatedError
from assay.spiffeid import SpiffeId
from assay.svid import jwt
from assay.svid.refusal import HINTS, Reason, SvidRefusedError
from assay.svid.x509 import verify
from assay.testing.authority import Authority, ca_extensions, leaf_extensions
from assay.testing.clock import START

HOME, IMPOSTOR = Authority(), Authority()
BUNDLES = {HOME.trust_domain: HOME.bundle}
ID = HOME.id("/workload")
NOW = int(START.timestamp())
SIGNING = [*ca_extensions(), leaf_extensions(str(ID))[3]]
CLAIMS = {"sub": str(ID), "aud": ["audience"], "exp": NOW + 300}
HEAD, BODY, TAIL = HOME.jwt_svid().split(".")


def header(**members: object) -> str:
    text = json.dumps({"alg": "ES256", "kid": HOME.jwt_key_id, **members})
    return f"{base64.urlsafe_b64encode(text.encode()).rstrip(b'=').decode()}.{BODY}.{TAIL}"


def leaf(*uris: str) -> bytes:
    return HOME.root.issue(leaf_extensions(*uris))[0]


CHAINS: list[tuple[Callable[[], list[bytes]], Reason, SpiffeId | None]] = [
    (list, Reason.NO_CREDENTIAL, None),
    (lambda: [b"junk"], Reason.MALFORMED, None),
    (lambda: [leaf(str(ID)), b"junk"], Reason.MALFORMED, None),
    (lambda: [HOME.root.issue(SIGNING)[0]], Reason.NOT_A_LEAF, None),
    (lambda: [leaf()], Reason.NOT_AN_SVID, None),
    (lambda: [leaf("https://example.org/x")], Reason.NOT_AN_SVID, None),
    (lambda: [leaf(str(ID), str(ID))], Reason.NOT_AN_SVID, None),
    (lambda: [leaf("spiffe://example.org")], Reason.NOT_AN_SVID, SpiffeId(HOME.trust_domain)),
    (lambda: [leaf("spiffe://other.org/x")], Reason.UNKNOWN_TRUST_DOMAIN, SpiffeId.parse("spiffe://other.org/x")),
    (lambda: list(IMPOSTOR.x509_svid().chain), Reason.UNTRUSTED, ID),
    (lambda: list(HOME.x509_svid(now=START - timedelta(days=1)).chain), Reason.EXPIRED, ID),
    (lambda: list(HOME.x509_svid(now=START + timedelta(days=1)).chain), Reason.NOT_YET_VALID, ID),
]

TOKENS: list[tuple[str, Reason, SpiffeId | None]] = [
    ("", Reason.NO_CREDENTIAL, None),
    ("a.b", Reason.MALFORMED, None),
    (f"!.{BODY}.{TAIL}", Reason.MALFORMED, None),
    (f"e.{BODY}.{TAIL}", Reason.MALFORMED, None),
    (f"{HEAD}.{BODY}.!", Reason.MALFORMED, ID),
    (header(alg="none"), Reason.UNSUPPORTED_ALGORITHM, None),
    (header(alg="HS256"), Reason.UNSUPPORTED_ALGORITHM, None),
    (header(alg=["ES256"]), Reason.UNSUPPORTED_ALGORITHM, None),
    (header(typ="at+jwt"), Reason.NOT_AN_SVID, None),
    (header(typ=["JWT"]), Reason.NOT_AN_SVID, None),
    (header(typ={}), Reason.NOT_AN_SVID, None),
    (header(crit=["exp"]), Reason.NOT_AN_SVID, None),
    (header(kid=""), Reason.UNKNOWN_KEY, None),
    (header(kid=["k"]), Reason.UNKNOWN_KEY, None),
    (header(kid="another"), Reason.UNKNOWN_KEY, ID),
    (header(alg="ES384"), Reason.BAD_SIGNATURE, ID),
    (header(alg="RS256"), Reason.BAD_SIGNATURE, ID),
    (HOME.token({}, {**CLAIMS, "sub": ""}), Reason.NOT_AN_SVID, None),
    (HOME.token({}, {**CLAIMS, "sub": "me"}), Reason.NOT_AN_SVID, None),
    (HOME.token({}, {**CLAIMS, "sub": "spiffe://example.org"}), Reason.NOT_AN_SVID, SpiffeId(HOME.trust_domain)),
    (Authority("other.org").jwt_svid(), Reason.UNKNOWN_TRUST_DOMAIN, SpiffeId.parse("spiffe://other.org/workload")),
    (IMPOSTOR.jwt_svid(), Reason.BAD_SIGNATURE, ID),
    (HOME.token({}, {**CLAIMS, "exp": None}), Reason.NOT_AN_SVID, ID),
    (HOME.token({}, {**CLAIMS, "exp": "soon"}), Reason.MALFORMED, ID),
    (HOME.token({}, {**CLAIMS, "exp": 10**400}), Reason.MALFORMED, ID),
    (HOME.token({}, {**CLAIMS, "exp": NOW - 61}), Reason.EXPIRED, ID),
    (HOME.token({}, {**CLAIMS, "nbf": NOW + 61}), Reason.NOT_YET_VALID, ID),
    (HOME.token({}, {**CLAIMS, "iat": NOW + 61}), Reason.NOT_YET_VALID, ID),
    (HOME.token({}, {**CLAIMS, "aud": []}), Reason.NO_AUDIENCE, ID),
    (HOME.token({}, {**CLAIMS, "aud": [7]}), Reason.MALFORMED, ID),
    (HOME.token({}, {**CLAIMS, "aud": ["another"]}), Reason.WRONG_AUDIENCE, ID),
]

# Shown in tests/unit/common/tasktoken.
OF_TASK_TOKENS = {
    *(Reason.NOT_A_TASK_TOKEN, Reason.WRONG_ISSUER, Reason.NOT_BOUND, Reason.WRONG_KEY, Reason.ACTION_NOT_ALLOWED),
    *(Reason.UNKNOWN_CONSTRAINT, Reason.REVOKED, Reason.WITHDRAWN, Reason.STATUS_UNKNOWN),
}


@pytest.mark.parametrize(("chain", "reason", "spiffe_id"), CHAINS)
def test_a_chain_is_refused_for_a_reason(
    chain: Callable[[], list[bytes]], reason: Reason, spiffe_id: SpiffeId | None
) -> None:
    with pytest.raises(SvidRefusedError) as caught:
        verify(chain(), BUNDLES, START)
    check(caught.value, reason, spiffe_id)


@pytest.mark.parametrize(("token", "reason", "spiffe_id"), TOKENS)
def test_a_token_is_refused_for_a_reason(token: str, reason: Reason, spiffe_id: SpiffeId | None) -> None:
    with pytest.raises(SvidRefusedError) as caught:
        jwt.verify(token, BUNDLES, "audience", START)
    check(caught.value, reason, spiffe_id)
    shown = f"{caught.value} {caught.value.as_dict()}"
    assert all(len(part) < 20 or part not in shown for part in token.split("."))


def check(error: SvidRefusedError, reason: Reason, spiffe_id: SpiffeId | None) -> None:
    assert (error.reason, error.spiffe_id) == (reason, spiffe_id)
    assert error.kind is Kind.UNAUTHENTICATED
    assert isinstance(error, UnauthenticatedError)
    named = {} if spiffe_id is None else {"spiffe_id": str(spiffe_id)}
    assert json.loads(json.dumps(error.as_dict())) == {"reason": reason.value, "message": error.message, **named}


def test_every_reason_is_shown_here_and_the_hints_are_for_reasons() -> None:
    shown = {reason for _, reason, _ in CHAINS} | {reason for _, reason, _ in TOKENS}
    assert set(Reason) - shown == {Reason.NOT_AUTHORIZED, Reason.NO_PROOF, Reason.BAD_PROOF} | OF_TASK_TOKENS
    assert HINTS[Reason.EXPIRED] == SvidRefusedError(Reason.EXPIRED, "late").hint
    assert SvidRefusedError(Reason.EXPIRED, "late", hint="hurry").hint == "hurry"


def test_a_certificate_whose_dates_cannot_be_read_is_malformed() -> None:
    der = HOME.x509_svid().chain[0]
    wrong = x509.load_der_x509_certificate(der).not_valid_after_utc.strftime("%y%m%d%H%M%SZ").encode()
    with pytest.raises(SvidRefusedError) as caught:
        verify([der.replace(wrong, b"99" + b"9" * (len(wrong) - 3) + b"Z")], BUNDLES, START)
    assert caught.value.reason is Reason.MALFORMED
