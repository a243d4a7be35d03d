"""Why a verifier refused an SVID, as data.

Messages are for people and may change; programs look at the `Reason`, whose values are stable. Neither has the token
or the certificate in it. Hints are for operators and no part of what a caller is told.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from assay.errors import AssayError, UnauthenticatedError
from assay.spiffeid import SpiffeId


class Reason(Enum):
    """Why. The first that is found: what is checked after it is not known."""

    NO_CREDENTIAL = "no_credential"
    """Nothing was presented."""
    MALFORMED = "malformed"
    """Not a certificate, not a compact JWS, or a part of it cannot be read."""
    UNSUPPORTED_ALGORITHM = "unsupported_algorithm"
    """`alg` is none of the nine that JWT-SVID section 2.1 allows, such as `none` or HS256."""
    NOT_A_LEAF = "not_a_leaf"
    """A certificate that may sign certificates or revocation lists (X509-SVID section 5.2)."""
    NOT_AN_SVID = "not_an_svid"
    """Well formed, but without what makes it an SVID: one SPIFFE ID with a path, the right `typ`, an `exp`."""
    UNKNOWN_TRUST_DOMAIN = "unknown_trust_domain"
    """There is no bundle for its trust domain, or none with authorities for this kind of SVID."""
    UNKNOWN_KEY = "unknown_key"
    """A token that names no key, or one that its trust domain's bundle does not have."""
    BAD_SIGNATURE = "bad_signature"
    """The named key did not make the signature, or is not one for the named algorithm."""
    UNTRUSTED = "untrusted"
    """No authority of its trust domain's bundle vouches for the chain."""
    EXPIRED = "expired"
    """Its time is over."""
    NOT_YET_VALID = "not_yet_valid"
    """Its time has not come."""
    NO_AUDIENCE = "no_audience"
    """A token that is for nobody."""
    WRONG_AUDIENCE = "wrong_audience"
    """A token for somebody else."""
    NO_PROOF = "no_proof"
    """A WIT-SVID without a proof that its caller holds the key."""
    BAD_PROOF = "bad_proof"
    """A proof that is not for this WIT-SVID, here and now."""
    NOT_AUTHORIZED = "not_authorized"
    """A valid SVID of somebody who is not wanted here."""
    NOT_A_TASK_TOKEN = "not_a_task_token"  # noqa: S105 - no secret
    """Well formed, but not what docs/task-tokens.md says one is: a token of an `ai_agent` without its task, say."""
    WRONG_ISSUER = "wrong_issuer"
    """A task token of somebody else's."""
    NOT_BOUND = "not_bound"
    """A task token that anybody could have sent on, or one that came without the certificate it is bound to."""
    WRONG_KEY = "wrong_key"
    """A task token whose key is another than the caller's."""
    ACTION_NOT_ALLOWED = "action_not_allowed"
    """A valid task token that is for other actions."""
    UNKNOWN_CONSTRAINT = "unknown_constraint"
    """A constraint holds for the action, and nobody here said that they keep it."""
    REVOKED = "revoked"
    """Its issuer ended it before its time."""
    WITHDRAWN = "withdrawn"
    """Of an identity that counts no more, such as that of a suspended principal's instance."""
    STATUS_UNKNOWN = "status_unknown"
    """Whether it has ended cannot be learnt here, now."""


_CLOCKS = (
    "compare both machines' clocks; SVIDs are replaced half-way through their life by what follows the Workload API"
)
HINTS: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.NO_CREDENTIAL: "the caller has to present its X.509-SVID or JWT-SVID",
        Reason.NOT_A_LEAF: "a workload presents a leaf, with its intermediates after it, and no authority",
        Reason.UNKNOWN_TRUST_DOMAIN: "federate with that trust domain if its workloads are to be known here",
        Reason.UNKNOWN_KEY: "if the key is new, this side has not got the newest bundle yet",
        Reason.UNTRUSTED: "if its authority is new, this side has not got the newest bundle yet",
        Reason.EXPIRED: _CLOCKS,
        Reason.NOT_YET_VALID: _CLOCKS,
        Reason.NO_AUDIENCE: "the caller has to ask for a token for this service",
        Reason.NO_PROOF: "the caller has to send a Workload Proof Token beside its WIT-SVID",
        Reason.WRONG_ISSUER: "compare the verifier's issuer with that of the server's token_endpoint, byte by byte",
        Reason.NOT_BOUND: "the caller has to show the certificate that it is bound to, or prove the key (DPoP)",
        Reason.ACTION_NOT_ALLOWED: "the caller's task has to be opened for it, and the token asked for with it",
        Reason.REVOKED: "the ledger says why: look for its jti",
        Reason.WITHDRAWN: "its principal is suspended or retired: assay principal show",
        Reason.STATUS_UNKNOWN: "is the agent running, and connected to its server?",
        Reason.WRONG_AUDIENCE: "the caller has to ask for a token for this service, by one of its audiences",
    }
)
"""What an operator can do next, for the reasons where that is the same every time."""


class RefusedError(AssayError):
    """An SVID is not taken; `except RefusedError` has them all, and `kind` tells unknown from not wanted.

    Attributes:
        reason: why, for programs.
        spiffe_id: whom the SVID names, if that much could be read. Proven only when the reason is NOT_AUTHORIZED: in
            all other cases anyone may have written it.
    """

    def __init__(self, reason: Reason, message: str, *, spiffe_id: SpiffeId | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint or HINTS.get(reason, ""))
        self.reason = reason
        self.spiffe_id = spiffe_id

    def as_dict(self) -> dict[str, str]:
        """`reason`, `message` and, if it was read, `spiffe_id`: fit for JSON and for the caller's eyes."""
        found = {"reason": self.reason.value, "message": self.message}
        return found if self.spiffe_id is None else {**found, "spiffe_id": str(self.spiffe_id)}


class SvidRefusedError(RefusedError, UnauthenticatedError):
    """What was presented proves nobody's identity: nothing, not an SVID, or not valid here and now."""
