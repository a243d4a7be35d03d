"""The issuer: template, signature, last look. Signing is a matter of CPU, so none of this awaits."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from cryptography import x509

from assay.clock import Clock
from assay.crypto.keys import PublicKey
from assay.errors import AssayError, UnavailableError, UnimplementedError
from assay.namespace import server_id
from assay.spiffeid import SpiffeId, TrustDomain
from assay.telemetry.metrics import OFF, Metrics
from assay.telemetry.tracing import span
from assay_server.credential import template, validate
from assay_server.credential.authorities import Authorities, JwtSigner, WitSigner
from assay_server.credential.jwt import Claims, TokenSigner, audience_of
from assay_server.credential.leaf import IssuedX509, LeafIssuer, LeafOrder, check_member
from assay_server.credential.subject import DEFAULT_SVID_SUBJECT, Subject

_SIGN_X509 = ("server_ca", "sign", "x509_svid")
_SIGN_JWT = ("server_ca", "sign", "jwt_svid")
_SIGN_WIT = ("server_ca", "sign", "wit_svid")
_NO_CLAIMS: Mapping[str, object] = MappingProxyType({})
_SPAN_X509, _SPAN_JWT = ".".join(_SIGN_X509), ".".join(_SIGN_JWT)


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialSettings:
    """Lifetimes in seconds, the `iss` claims of tokens (none if empty) and the subject of X.509-SVIDs.

    Without `wit`, which is off unless asked for, no WIT-SVID is issued.
    """

    x509_svid_ttl: int = 3600
    jwt_svid_ttl: int = 300
    agent_ttl: int = 3600
    jwt_issuer: str = ""
    wit: bool = False
    wit_svid_ttl: int = 3600
    wit_issuer: str = ""
    subject: Subject = DEFAULT_SVID_SUBJECT


@dataclass(frozen=True, slots=True)
class IssuedJwt:
    """A JWT-SVID; times in Unix seconds. The token is a secret."""

    token: str = field(repr=False)
    spiffe_id: SpiffeId
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class IssuedWit:
    """A WIT-SVID; times in Unix seconds."""

    token: str = field(repr=False)
    spiffe_id: SpiffeId
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class _Issuance:
    """What is the same for all tokens under one key."""

    authority: JwtSigner | WitSigner
    signer: TokenSigner

    def check_alive(self, now: datetime, kind: str) -> None:
        """Refuse an expired key."""
        if self.authority.not_after <= now.timestamp():
            raise UnavailableError(f"{kind} key is not available for signing", hint="the active one is expired")


class Issuer:
    """Issues SVIDs of one trust domain under whatever authority is active at the moment.

    Every method raises InvalidArgumentError for an ID outside the trust domain, a negative TTL or a name that
    cannot be in a certificate, and UnavailableError when no authority is active. Zero TTLs stand for the default;
    lifetimes are cut to that of the authority.
    """

    def __init__(
        self,
        trust_domain: TrustDomain,
        authorities: Authorities,
        clock: Clock,
        settings: CredentialSettings,
        metrics: Metrics = OFF,
    ) -> None:
        self._metrics = metrics
        self._trust_domain = trust_domain
        self._authorities = authorities
        self._clock = clock
        self._settings = settings
        self._leaves = LeafIssuer(trust_domain, settings.subject)
        self._jwt: _Issuance | None = None
        self._wit: _Issuance | None = None

    def workload_x509(
        self,
        public_key: PublicKey | bytes,
        spiffe_id: SpiffeId,
        *,
        dns_names: Sequence[str] = (),
        ttl: int = 0,
        subject: x509.Name | None = None,
    ) -> IssuedX509:
        """An X.509-SVID; what the parameters mean is told by `LeafOrder`."""
        order = LeafOrder(public_key, spiffe_id, dns_names, ttl, subject)
        return self._only(order, self._settings.x509_svid_ttl)

    def workload_x509_each(self, orders: Iterable[LeafOrder | AssayError]) -> list[IssuedX509 | AssayError]:
        """An X.509-SVID for each order or why there is none, in order; what was refused before stays so.

        Raises:
            UnavailableError: no authority is active.
        """
        ttl, now = self._settings.x509_svid_ttl, self._clock.now()
        with span(_SPAN_X509) as traced:
            issued = self._leaves.issue_each(self._authorities.x509, orders, ttl, now)
            count = sum(isinstance(one, IssuedX509) for one in issued)
            traced.put("assay.svids", count)
        self._metrics.count(_SIGN_X509, count)
        return issued

    def agent_x509(self, public_key: PublicKey, spiffe_id: SpiffeId) -> IssuedX509:
        """An agent's X.509-SVID."""
        return self._only(LeafOrder(public_key, spiffe_id), self._settings.agent_ttl)

    def server_x509(self, public_key: PublicKey) -> IssuedX509:
        """The server's own X.509-SVID."""
        return self._only(LeafOrder(public_key, server_id(self._trust_domain)), self._settings.x509_svid_ttl)

    def workload_jwt(
        self, spiffe_id: SpiffeId, audience: Sequence[str], *, ttl: int = 0, include_jti: bool = False
    ) -> IssuedJwt:
        """A JWT-SVID for that audience; empty values of it are dropped."""
        check_member(spiffe_id, self._trust_domain, "JWT-SVID")
        wanted = audience_of(audience)
        now = self._clock.now()
        issuance = self._jwt_issuance(now)
        issued_at = int(now.timestamp())
        cap = issuance.authority.not_after
        _, expires_at = template.lifetime(issued_at, ttl, self._settings.jwt_svid_ttl, cap)
        claims = Claims(spiffe_id, wanted, issued_at, expires_at, self._settings.jwt_issuer, include_jti)
        with span(_SPAN_JWT):
            token = issuance.signer.sign(claims)
        validate.check_jwt(token, spiffe_id=spiffe_id, audience=wanted, now=now)
        self._metrics.count(_SIGN_JWT)
        return IssuedJwt(token, spiffe_id, issued_at, expires_at)

    def task_jwt(
        self,
        spiffe_id: SpiffeId,
        audience: str,
        issued_at: int,
        expires_at: int,
        jti: str,
        more: Mapping[str, object] = _NO_CLAIMS,
    ) -> str:
        """A JWT-SVID that says just that and `more`; whoever asks has decided on its times and knows what cuts them."""
        check_member(spiffe_id, self._trust_domain, "JWT-SVID")
        now, wanted = self._clock.now(), audience_of((audience,))
        issuance = self._jwt_issuance(now)
        claims = Claims(
            spiffe_id,
            wanted,
            issued_at,
            expires_at,
            self._settings.jwt_issuer,
            include_jti=True,
            jti=jti,
            more=more,
        )
        with span(_SPAN_JWT):
            token = issuance.signer.sign(claims)
        validate.check_jwt(token, spiffe_id=spiffe_id, audience=wanted, now=now)
        self._metrics.count(_SIGN_JWT)
        return token

    @property
    def jwt_ends_at(self) -> int:
        """When the key that signs JWT-SVIDs ends, in Unix seconds."""
        return self._jwt_issuance(self._clock.now()).authority.not_after

    def check_wit(self) -> None:
        """Refuse where WIT-SVIDs are switched off.

        Raises:
            UnimplementedError: they are.
        """
        if not self._settings.wit:
            # Without a hint: agents pass this on to their workloads as it comes, and `assay wit mint` has one.
            raise UnimplementedError("WIT functionality is disabled")

    def workload_wit(self, spiffe_id: SpiffeId, public_key: PublicKey, algorithm: str, *, ttl: int = 0) -> IssuedWit:
        """A WIT-SVID for the holder of that key, which proves possession by that algorithm.

        Raises:
            UnimplementedError: WIT-SVIDs are switched off.
        """
        now = self._clock.now()
        self.check_wit()
        issued_at = int(now.timestamp())
        cap = self._wit_issuance(now).authority.not_after
        _, expires_at = template.lifetime(issued_at, ttl, self._settings.wit_svid_ttl, cap)
        token = self.task_wit(spiffe_id, public_key, algorithm, issued_at, expires_at, "")
        return IssuedWit(token, spiffe_id, issued_at, expires_at)

    def task_wit(
        self,
        spiffe_id: SpiffeId,
        public_key: PublicKey,
        algorithm: str,
        issued_at: int,
        expires_at: int,
        jti: str,
        more: Mapping[str, object] = _NO_CLAIMS,
    ) -> str:
        """A WIT-SVID that says just that and `more`, as `task_jwt`; raises as `workload_wit`."""
        from assay_server.credential.wit import WitClaims, confirmation  # noqa: PLC0415 - few servers switch it on

        self.check_wit()
        check_member(spiffe_id, self._trust_domain, "WIT-SVID")
        jwk = confirmation(public_key, algorithm)
        now = self._clock.now()
        claims = WitClaims(spiffe_id, jwk, issued_at, expires_at, self._settings.wit_issuer, jti, more)
        token = self._wit_issuance(now).signer.sign(claims)
        validate.check_wit(token, spiffe_id=spiffe_id, confirmation=jwk, now=now)
        self._metrics.count(_SIGN_WIT)
        return token

    def wit_confirmation(self, public_key: PublicKey, algorithm: str) -> dict[str, str]:
        """The key as a WIT-SVID names it (InvalidArgumentError: it is not one for that algorithm)."""
        from assay_server.credential.wit import confirmation  # noqa: PLC0415 - likewise

        return confirmation(public_key, algorithm)

    @property
    def wit_ends_at(self) -> int:
        """When the key that signs WIT-SVIDs ends, in Unix seconds."""
        return self._wit_issuance(self._clock.now()).authority.not_after

    def _only(self, order: LeafOrder, default_ttl: int) -> IssuedX509:
        with span(_SPAN_X509):
            issued = self._leaves.issue(self._authorities.x509, order, default_ttl, self._clock.now())
        self._metrics.count(_SIGN_X509)
        return issued

    def _jwt_issuance(self, now: datetime) -> _Issuance:
        authority = self._authorities.jwt
        if self._jwt is None or self._jwt.authority is not authority:
            self._jwt = _Issuance(authority, TokenSigner.of(authority))
        self._jwt.check_alive(now, "JWT")
        return self._jwt

    def _wit_issuance(self, now: datetime) -> _Issuance:
        authority = self._authorities.wit
        if self._wit is None or self._wit.authority is not authority:
            self._wit = _Issuance(authority, TokenSigner.of(authority))
        self._wit.check_alive(now, "WIT")
        return self._wit
