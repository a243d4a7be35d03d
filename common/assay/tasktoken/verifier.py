"""The verifier: from what a caller presented to a task token that is proven, bound, allowed and still counts.

Signature and claims of a token are looked at once, as long as its key is trusted; its time, the proof of its key, the
action and its status each time.
"""

import hashlib
import hmac
import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from assay.bundle import JwtAuthority
from assay.clock import Clock, SystemClock
from assay.crypto import certificate
from assay.errors import InvalidArgumentError
from assay.spiffeid import SCHEME, TrustDomain
from assay.standing import GRAVEST, Question, Standing, StatusSource, check
from assay.svid import compact, dpop
from assay.svid.compact import LEEWAY
from assay.svid.refusal import Reason, RefusedError, SvidRefusedError
from assay.svid.replay import Seen
from assay.tasktoken.presented import Certificate, DpopProof, Presented
from assay.tasktoken.profile import forged, token_of
from assay.tasktoken.refusal import NotAllowedError
from assay.tasktoken.token import Binding, TaskToken
from assay.verify import BundleSource

TYPE = "at+jwt"  # RFC 9068, section 2.1
PROOF_LIFE = 60
"""Seconds that a DPoP proof is taken for after it was made; a client makes one for each request."""
MAX_TOKEN = 16 * 1024
"""Characters; none is as long as that."""

_KEPT = 4096


@dataclass(frozen=True, slots=True)
class _Proven:
    token: TaskToken
    authority: JwtAuthority


class TaskTokenVerifier:
    """Takes task tokens of one issuer for one audience. It may be used from several threads.

    Args:
        bundles: where the issuer's keys come from, such as an open `assay.workloadapi.JwtBundleSource`, or
            `FixedBundles(parse_jwt(trust_domain, document))` of what the token endpoint has at `/jwks`.
        issuer: who issues them: the `issuer` of the server's token endpoint, or the trust domain's ID without one.
        audience: the resource that this service is; tokens for any other are refused, byte by byte.
        status: who knows what has ended.
        trust_domain: the issuer's; needed where the issuer is not the trust domain's ID.
        unbound: take tokens that are bound to no key, which anybody could have sent on; never an agent's.
        seen: remembers proofs; several verifiers of one service share it.
        clock: what time it is; the machine's if None.

    Raises:
        InvalidArgumentError: no audience, no issuer, or no trust domain.
    """

    def __init__(
        self,
        bundles: BundleSource,
        issuer: str,
        audience: str,
        status: StatusSource,
        *,
        trust_domain: TrustDomain | str = "",
        unbound: bool = False,
        seen: Seen | None = None,
        clock: Clock | None = None,
    ) -> None:
        if not issuer or not audience:
            raise InvalidArgumentError("issuer and audience must be specified")
        self.issuer, self.audience = issuer, audience
        self._trust_domain = _trust_domain(issuer, trust_domain)
        self._bundles = bundles
        self._status = status
        self._unbound = unbound
        self._seen = seen or Seen()
        self._clock = clock or SystemClock()
        self._known: OrderedDict[bytes, _Proven] = OrderedDict()
        self._lock = threading.Lock()

    def verify(
        self, token: str, presented: Presented = None, action: str = "", *, understands: Collection[str] = ()
    ) -> TaskToken:
        """What the token says, once all of it is proven, and it allows `action` now.

        Args:
            token: as it came.
            presented: what came beside it.
            action: what it is to be used for. Without one `allow` is asked later, and its status is judged as for the
                gravest.
            understands: the constraints that this service keeps; a token with any other is refused.

        Raises:
            SvidRefusedError: it is no task token of this issuer for this audience, is not its caller's, or has ended.
            NotAllowedError: it is not for that action, or under a constraint that is not understood.
            StatusUnknownError: whether it has ended cannot be learnt.
            ResourceExhaustedError: more proofs come than can be remembered.
        """
        now = self._clock.now().timestamp()
        return self._admit(self._examined(token, now), token, presented, action, understands, now)

    def examine(self, token: str) -> TaskToken:
        """What the token says, if this issuer said it for this audience and it is its time; nothing else is looked at.

        Whoever has it may not be its holder, and it may have ended: it is for whoever has to learn its status first.

        Raises:
            SvidRefusedError: it is no such token.
        """
        return self._examined(token, self._clock.now().timestamp())

    def admit(
        self, found: TaskToken, token: str, presented: Presented, action: str, *, understands: Collection[str] = ()
    ) -> TaskToken:
        """The rest of `verify`, for what `examine` found in that token."""
        return self._admit(found, token, presented, action, understands, self._clock.now().timestamp())

    def allow(self, token: TaskToken, action: str, *, understands: Collection[str] = ()) -> TaskToken:
        """The token that `verify` gave, for an action that became known later, if it allows it now.

        Raises:
            As `verify`, but for what was proven already; InvalidArgumentError: no action is given.
        """
        if not action:
            raise InvalidArgumentError("action must be specified")
        now = self._clock.now().timestamp()
        _check_time(token, now)
        return self._allowed(token, action, understands, now)

    def _examined(self, token: str, now: float) -> TaskToken:
        found = self._proven(token).token
        _check_time(found, now)
        return found

    def _admit(
        self, found: TaskToken, token: str, presented: Presented, action: str, understands: Collection[str], now: float
    ) -> TaskToken:
        try:
            self._check_binding(found, token, presented, now)
        except RefusedError as refusal:
            refusal.spiffe_id = found.instance
            raise
        return self._allowed(found, action, understands, now)

    def _proven(self, token: str) -> _Proven:
        if not token:
            raise SvidRefusedError(Reason.NO_CREDENTIAL, "no task token was presented")
        if len(token) > MAX_TOKEN or not token.isascii():
            raise SvidRefusedError(Reason.MALFORMED, "token is too long, or not ASCII")
        # Not by the token itself: it is a secret, and would outlive its request here.
        name = hashlib.sha256(token.encode()).digest()
        with self._lock:
            known = self._known.get(name)
        if known is not None and known.authority in self._authorities():
            return known
        proven = self._prove(token)
        with self._lock:
            self._known[name] = proven
            self._known.move_to_end(name)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return proven

    def _prove(self, token: str) -> _Proven:
        header, payload = compact.split(token)
        # RFC 9068 section 4: with or without the prefix.
        kind = header.get("typ")
        if not isinstance(kind, str) or kind.lower().removeprefix("application/") != TYPE or "crit" in header:
            raise forged(f"its type is not {TYPE}")
        authority = self._authority(compact.key_id(header))
        compact.check_signature(token, header, authority.public_key)
        found = token_of(payload, self.issuer, self._trust_domain)
        if found.audience != self.audience:
            raise SvidRefusedError(
                Reason.WRONG_AUDIENCE, f"token is for {compact.quoted(found.audience)}", spiffe_id=found.instance
            )
        return _Proven(found, authority)

    def _authorities(self) -> tuple[JwtAuthority, ...]:
        bundle = self._bundles.bundles().get(self._trust_domain)
        return bundle.jwt_authorities if bundle is not None else ()

    def _authority(self, key_id: str) -> JwtAuthority:
        found = next((one for one in self._authorities() if one.key_id == key_id), None)
        if found is None:
            raise SvidRefusedError(
                Reason.UNKNOWN_KEY,
                f'public key {compact.quoted(key_id)} not found in trust domain "{self._trust_domain}"',
            )
        return found

    def _check_binding(self, found: TaskToken, token: str, presented: Presented, now: float) -> None:
        if found.confirmation is None:
            if not self._unbound:
                raise SvidRefusedError(Reason.NOT_BOUND, "token is bound to no key")
            return
        match found.confirmation.binding, presented:
            case Binding.CERTIFICATE, Certificate(der):
                shown = certificate.thumbprint(der)
            case Binding.KEY, DpopProof(proof, method, url):
                shown = dpop.thumbprint_of(proof, method, url, now, self._seen, access_token=token, life=PROOF_LIFE)
            case Binding.KEY, _:
                raise SvidRefusedError(Reason.NO_PROOF, "token is bound to a key, and no DPoP proof came with it")
            case _:
                raise SvidRefusedError(Reason.NOT_BOUND, "token is bound to a certificate that was not shown")
        if not hmac.compare_digest(shown, found.confirmation.thumbprint):
            raise SvidRefusedError(Reason.WRONG_KEY, "token is bound to another key")

    def _allowed(self, token: TaskToken, action: str, understands: Collection[str], now: float) -> TaskToken:
        action_class = token.class_of(action) if action else GRAVEST
        standing = self._standing(token, action_class)
        staleness = check(standing, token.expires_at, now, spiffe_id=token.instance)
        if action:
            _check_action(token, action, understands)
        return token.used(action, staleness) if action or staleness else token

    def _standing(self, token: TaskToken, action_class: str) -> Standing:
        return self._status.standing(Question(token.jti, (token.instance,), token.index, action_class))


def _trust_domain(issuer: str, named: TrustDomain | str) -> TrustDomain:
    if isinstance(named, TrustDomain):
        return named
    if not named and not issuer.startswith(SCHEME):
        raise InvalidArgumentError("trust_domain must be specified", hint="whose keys sign for that issuer?")
    return TrustDomain.parse(named or issuer)


def _check_time(token: TaskToken, now: float) -> None:
    if now > token.expires_at + LEEWAY:
        raise SvidRefusedError(Reason.EXPIRED, "token has expired", spiffe_id=token.instance)
    if now + LEEWAY < token.issued_at:
        raise SvidRefusedError(Reason.NOT_YET_VALID, "token issued in the future", spiffe_id=token.instance)


def _check_action(token: TaskToken, action: str, understands: Collection[str]) -> None:
    if token.access(action) is None:
        raise NotAllowedError(
            Reason.ACTION_NOT_ALLOWED, f"token is not for {compact.quoted(action)} on {token.audience}", token
        )
    if unknown := token.unknown_constraints(action, understands):
        raise NotAllowedError(
            Reason.UNKNOWN_CONSTRAINT,
            f"token is under constraints that are not kept here: {', '.join(unknown)}",
            token,
            hint="say that this service keeps them (understands=), and keep them",
        )
