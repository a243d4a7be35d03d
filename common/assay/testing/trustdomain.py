"""A trust domain without a server: issues SVIDs at once, right ones and wrong ones, and changes its keys on demand."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from assay.bundle import Bundle, X509Authority
from assay.clock import Clock, SystemClock
from assay.errors import InvalidArgumentError
from assay.spiffeid import SCHEME, SpiffeId, TrustDomain
from assay.svid import WitSvid, X509Svid, wit
from assay.testing.authority import HOUR, Ca
from assay.testing.issuer import Issuer, create_ca, jwt_payload, wit_payload
from assay.testing.jwtkey import JwtKey
from assay.testing.source import InMemorySource
from assay.testing.wrongjwt import WrongJwtSvid, wrong_jwt_svid
from assay.testing.wrongx509 import WrongX509Svid, wrong_x509_svid

if TYPE_CHECKING:
    from assay.svid.dpop import DpopKey
    from assay.testing.status import InMemoryStatus
    from assay.testing.tasktoken import TaskTokenRequest, WrongTaskToken

X509_TTL = HOUR
JWT_TTL = 300


@dataclass(frozen=True, slots=True)
class _Authorities:
    """Keys, the oldest first; the last ones sign."""

    x509: tuple[Ca, ...]
    jwt: tuple[JwtKey, ...]
    wit: tuple[JwtKey, ...]
    federated: "tuple[InMemoryTrustDomain, ...]" = ()
    sequence: int = 1


class InMemoryTrustDomain:
    """Issues SVIDs of all three kinds for one trust domain; nothing is written anywhere, and nothing expires early.

    It is a BundleSource (see `bundles`), so that verifiers take it as it is. It may be used from several threads.

    Args:
        name: of the trust domain.
        clock: whose time SVIDs are issued at; the machine's unless given.
        x509_ttl: how long X.509-SVIDs and WIT-SVIDs live unless told otherwise, in seconds.
        jwt_ttl: the same for JWT-SVIDs.
    """

    def __init__(
        self, name: str = "example.org", *, clock: Clock | None = None, x509_ttl: int = X509_TTL, jwt_ttl: int = JWT_TTL
    ) -> None:
        self.trust_domain = TrustDomain(name)
        self.clock = clock or SystemClock()
        self.x509_ttl, self.jwt_ttl = x509_ttl, jwt_ttl
        self._authorities = _Authorities((self._new_ca(),), (JwtKey.create(),), (JwtKey.create(),))
        self._lock = threading.Lock()
        self._watchers: list[Callable[[], None]] = []
        self._believers: list[InMemoryTrustDomain] = []

    def __repr__(self) -> str:
        return f"InMemoryTrustDomain({self.trust_domain.name!r})"

    def id(self, path: str | SpiffeId) -> SpiffeId:
        """The ID with that path in this trust domain; a whole ID stays as it is, even another trust domain's."""
        if isinstance(path, SpiffeId):
            return path
        return SpiffeId.parse(path) if path.startswith(SCHEME) else SpiffeId(self.trust_domain, path)

    @property
    def bundle(self) -> Bundle:
        """What others need to trust this trust domain, as it is now."""
        now = self._authorities
        x509 = tuple(X509Authority(ca.der) for ca in now.x509)
        jwt = tuple(key.authority for key in now.jwt)
        wits = tuple(key.wit_authority for key in now.wit)
        return Bundle(self.trust_domain, x509, jwt, sequence=now.sequence, wit_authorities=wits)

    def bundles(self) -> Mapping[TrustDomain, Bundle]:
        """The own bundle and those of the trust domains it federates with."""
        known = (self, *self._authorities.federated)
        return {one.trust_domain: one.bundle for one in known}

    def x509_svid(
        self,
        path: str | SpiffeId = "/workload",
        *,
        ttl: int | None = None,
        dns_names: Sequence[str] = (),
        intermediate: bool = False,
    ) -> X509Svid:
        """An X.509-SVID with a new key.

        Args:
            path: of the ID; a whole ID, even of another trust domain, is signed as well.
            ttl: in seconds.
            dns_names: further names of the certificate.
            intermediate: whether an intermediate CA signs it, which then is in the chain.
        """
        ttl = self.x509_ttl if ttl is None else ttl
        now = self.clock.now()
        return self._issuer().x509_svid(self.id(path), now, ttl, dns_names=dns_names, intermediate=intermediate)

    def jwt_svid(
        self, path: str | SpiffeId, audience: str | Sequence[str], *, ttl: int | None = None, **claims: object
    ) -> str:
        """A JWT-SVID as a token; further claims go over the ordinary ones, and None leaves one out."""
        ttl = self.jwt_ttl if ttl is None else ttl
        payload = {**jwt_payload(self.id(path), _listed(audience), self.clock.now(), ttl), **claims}
        return self._issuer().jwt_key.token({name: value for name, value in payload.items() if value is not None})

    def wit_svid(self, path: str | SpiffeId = "/workload", *, ttl: int | None = None, **claims: object) -> WitSvid:
        """A WIT-SVID with a new P-256 key; further claims as in `jwt_svid`. Its `token` is what is presented.

        Raises:
            SvidRefusedError: with these claims it is none.
        """
        ttl, key = self.x509_ttl if ttl is None else ttl, ec.generate_private_key(ec.SECP256R1())
        payload = {**wit_payload(self.id(path), key.public_key(), self.clock.now(), ttl), **claims}
        left = {name: value for name, value in payload.items() if value is not None}
        return wit.with_key(wit.parse(self._issuer().wit_key.token(left, {"typ": wit.TYPE})), key)

    def wrong_x509_svid(self, wrong: WrongX509Svid, path: str | SpiffeId = "/workload") -> X509Svid:
        """A chain with its key that every validator must refuse, for that reason alone."""
        return wrong_x509_svid(wrong, self._issuer(), self.id(path), self.clock.now(), self.x509_ttl)

    def wrong_jwt_svid(self, wrong: WrongJwtSvid, path: str | SpiffeId, audience: str | Sequence[str]) -> str:
        """A token that every validator must refuse, for that reason alone."""
        now = self.clock.now()
        return wrong_jwt_svid(wrong, self._issuer(), self.id(path), _listed(audience), now, self.jwt_ttl)

    @property
    def issuer(self) -> str:
        """Who issues its task tokens: the trust domain's ID, as where there is no token endpoint."""
        return str(self.trust_domain.id)

    @cached_property
    def status(self) -> "InMemoryStatus":
        """What has ended of all that it issued: nothing, until the test says so. A `StatusSource`."""
        from assay.testing.status import InMemoryStatus  # noqa: PLC0415 - needs protobuf, and few ask for it

        return InMemoryStatus(self.clock)

    def task_token(
        self,
        path: str | SpiffeId,
        audience: str,
        actions: str | Sequence[str],
        *,
        key: "X509Svid | DpopKey | None",
        task_id: str = "",
        profile: str = "ai_agent",
        constraints: Mapping[str, object] | None = None,
        classes: Mapping[str, str] | None = None,
        ttl: int | None = None,
        **claims: object,
    ) -> str:
        """A task token; further claims go over the ordinary ones, and None leaves one out.

        Args:
            path: of the instance that acts.
            audience: the resource.
            actions: what it may do there.
            key: what the token is bound to; None, which no agent may have, for nothing.
            task_id: the task; a new one if empty.
            profile: what kind of actor it is.
            constraints: what holds for the actions.
            classes: the class of each action.
            ttl: in seconds.
            claims: what goes over the ordinary claims.
        """
        from assay.testing.tasktoken import task_token  # noqa: PLC0415 - few ask for it

        request = self._task_token_request(path, audience, actions, key)
        more = {"task_id": task_id, "profile": profile, "constraints": constraints, "classes": classes}
        asked = replace(request, **more) if ttl is None else replace(request, ttl=ttl, **more)  # type: ignore[arg-type]
        return task_token(self._issuer(), asked, self.clock.now(), claims)

    def wrong_task_token(
        self,
        wrong: "WrongTaskToken",
        path: str | SpiffeId,
        audience: str,
        actions: str | Sequence[str],
        *,
        key: "X509Svid | DpopKey",
    ) -> str:
        """A task token that every verifier must refuse, for that reason alone."""
        from assay.testing.tasktoken import wrong_task_token  # noqa: PLC0415 - few ask for it

        request = self._task_token_request(path, audience, actions, key)
        return wrong_task_token(wrong, self._issuer(), request, self.clock.now())

    def source(self, path: str | SpiffeId | X509Svid = "/workload") -> InMemorySource:
        """A source of SVIDs for that identity, without a socket; or of that very SVID, which may be a wrong one."""
        return InMemorySource(self, path if isinstance(path, X509Svid) else self.id(path))

    def rotate_x509_authority(self, *, forget: bool = False) -> None:
        """Sign X.509-SVIDs with a new CA from now on.

        Args:
            forget: take the earlier ones out of the bundle, so that nothing they signed is valid any more.
        """
        new = self._new_ca()
        self._change(lambda now: replace(now, x509=(new,) if forget else (*now.x509, new)))

    def rotate_jwt_key(self, *, forget: bool = False) -> None:
        """Sign JWT-SVIDs with a new key from now on; `forget` as in `rotate_x509_authority`."""
        new = JwtKey.create()
        self._change(lambda now: replace(now, jwt=(new,) if forget else (*now.jwt, new)))

    def rotate_wit_key(self, *, forget: bool = False) -> None:
        """Sign WIT-SVIDs with a new key from now on; `forget` as in `rotate_x509_authority`."""
        new = JwtKey.create()
        self._change(lambda now: replace(now, wit=(new,) if forget else (*now.wit, new)))

    def federate(self, other: "InMemoryTrustDomain") -> None:
        """Trust that trust domain's bundle, now and as it changes; for trust both ways, tell the other one too.

        Raises:
            InvalidArgumentError: it has this one's name.
        """
        if other.trust_domain == self.trust_domain:
            raise InvalidArgumentError(f"trust domain {self.trust_domain} cannot federate with itself")
        self.unfederate(other)
        other._believers.append(self)  # noqa: SLF001 - of the same class
        self._change(lambda now: replace(now, federated=(*now.federated, other)))

    def unfederate(self, other: "InMemoryTrustDomain") -> None:
        """Trust it no more; nothing if it was not trusted."""
        gone = [one for one in self._authorities.federated if one.trust_domain == other.trust_domain]
        for one in gone:
            one._believers.remove(self)  # noqa: SLF001 - of the same class
        if gone:
            self._change(lambda now: replace(now, federated=tuple(one for one in now.federated if one not in gone)))

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Call `changed` after each change of what `bundles` gives; returns the function that ends it."""
        self._watchers.append(changed)
        return lambda: self._watchers.remove(changed)

    @property
    def x509_authority(self) -> bytes:
        """The CA certificate (DER) that signs now."""
        return self._authorities.x509[-1].der

    @property
    def wit_key_id(self) -> str:
        """The `kid` of the key that signs WIT-SVIDs now."""
        return self._authorities.wit[-1].key_id

    def _task_token_request(
        self, path: str | SpiffeId, audience: str, actions: str | Sequence[str], key: "X509Svid | DpopKey | None"
    ) -> "TaskTokenRequest":
        from assay.testing.tasktoken import TaskTokenRequest  # noqa: PLC0415 - few ask for it

        return TaskTokenRequest(self.id(path), audience, _listed(actions), key, self.issuer)

    def _issuer(self) -> Issuer:
        now = self._authorities
        return Issuer(self.trust_domain, now.x509[-1], now.jwt[-1], now.wit[-1])

    def _new_ca(self) -> Ca:
        return create_ca(self.trust_domain, self.clock.now())

    def _change(self, make: "Callable[[_Authorities], _Authorities]") -> None:
        with self._lock:
            old = self._authorities
            new = make(old)
            own = (new.x509, new.jwt, new.wit) != (old.x509, old.jwt, old.wit)
            self._authorities = replace(new, sequence=old.sequence + own)
        # Not to the believers' believers: a bundle is trusted by those it was given to.
        for one in (self, *self._believers) if own else (self,):
            one._tell()  # noqa: SLF001 - of the same class

    def _tell(self) -> None:
        for changed in tuple(self._watchers):
            changed()


def _listed(audience: str | Sequence[str]) -> list[str]:
    return [audience] if isinstance(audience, str) else list(audience)
