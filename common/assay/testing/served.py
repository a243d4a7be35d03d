"""What a Workload API server for tests answers with: identities and outages, as the test last said."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from assay.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from assay.rpc.status import StatusCode
from assay.spiffeid import SpiffeId
from assay.svid import WitSvid, X509Svid
from assay.testing.trustdomain import InMemoryTrustDomain

RPCS = (
    *("FetchX509SVID", "FetchX509Bundles", "FetchJWTSVID", "FetchJWTBundles", "ValidateJWTSVID"),
    *("FetchWITSVID", "FetchWITBundles"),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity of the callers, and its X.509-SVID and WIT-SVID as they are now.

    `ttl` is in seconds; `renew_at` is by the monotonic clock of the machine, whatever clock the trust domain has.
    """

    spiffe_id: SpiffeId
    hint: str
    dns_names: tuple[str, ...]
    ttl: int
    svid: X509Svid
    wit: WitSvid
    renew_at: float


@dataclass(frozen=True, slots=True)
class Outage:
    """How calls fail instead of being answered."""

    code: StatusCode
    message: str


@dataclass(frozen=True, slots=True)
class State:
    """Identities, the default one first, and outages by RPC."""

    identities: tuple[Identity, ...] = ()
    outages: Mapping[str, Outage] = field(default_factory=lambda: MappingProxyType({}))


class Served:
    """The state, changed by the test's thread and read by the server's."""

    def __init__(self, domain: InMemoryTrustDomain) -> None:
        self.domain = domain
        self.state = State()
        self.calls: list[str] = []
        """The RPCs that were begun, in order."""

        self._changed: Callable[[], object] = _nobody
        self._signers = _signers(domain)
        self._lock = threading.RLock()

    def tell(self, changed: Callable[[], object] | None) -> None:
        """Call that after each change; None: nobody, and when this returns it is not being called either."""
        with self._lock:
            self._changed = changed or _nobody

    def add(self, path: str | SpiffeId, hint: str, dns_names: tuple[str, ...], ttl: int) -> SpiffeId:
        """Give callers one more identity, after those they have."""
        with self._lock:
            spiffe_id = self.domain.id(path)
            self._check_new(spiffe_id, hint)
            svid = self.domain.x509_svid(spiffe_id, ttl=ttl, dns_names=dns_names)
            wit = self.domain.wit_svid(spiffe_id, ttl=ttl)
            identity = Identity(spiffe_id, hint, dns_names, ttl, svid, wit, _renew_at(ttl))
            self._set(replace(self.state, identities=(*self.state.identities, identity)))
        return spiffe_id

    def remove(self, path: str | SpiffeId) -> None:
        """Take that identity from them."""
        spiffe_id = self.domain.id(path)
        with self._lock:
            kept = tuple(one for one in self.state.identities if one.spiffe_id != spiffe_id)
            if kept == self.state.identities:
                raise NotFoundError(f"{spiffe_id} is not served", hint="serve it first")
            self._set(replace(self.state, identities=kept))

    def renew(self, due: Callable[[Identity], bool]) -> None:
        """New SVIDs with new keys for the identities that are due."""
        with self._lock:
            identities = tuple(self._renewed(one) if due(one) else one for one in self.state.identities)
            if identities != self.state.identities:
                self._set(replace(self.state, identities=identities))

    def fail(self, outage: Outage | None, rpc: str | None) -> None:
        """Refuse that RPC, or all, or answer again."""
        if rpc is not None and rpc not in RPCS:
            raise InvalidArgumentError(f"the Workload API has no RPC {rpc}", hint=f"one of {', '.join(RPCS)}")
        named = RPCS if rpc is None else (rpc,)
        with self._lock:
            outages = {name: found for name, found in self.state.outages.items() if name not in named}
            outages |= {name: outage for name in named if outage is not None}
            self._set(replace(self.state, outages=MappingProxyType(outages)))

    def follow_domain(self) -> None:
        """Bundles have changed; what an earlier CA or WIT key has signed is signed anew."""
        with self._lock:
            if self._signers != _signers(self.domain):
                self._signers = _signers(self.domain)
                identities = tuple(map(self._renewed, self.state.identities))
                self.state = replace(self.state, identities=identities)
            self._changed()

    def _renewed(self, identity: Identity) -> Identity:
        svid = self.domain.x509_svid(identity.spiffe_id, ttl=identity.ttl, dns_names=identity.dns_names)
        wit = self.domain.wit_svid(identity.spiffe_id, ttl=identity.ttl)
        return replace(identity, svid=svid, wit=wit, renew_at=_renew_at(identity.ttl))

    def _check_new(self, spiffe_id: SpiffeId, hint: str) -> None:
        if any(one.spiffe_id == spiffe_id for one in self.state.identities):
            raise AlreadyExistsError(f"{spiffe_id} is served already", hint="revoke it first")
        if hint and any(one.hint == hint for one in self.state.identities):
            raise AlreadyExistsError(f'hint "{hint}" is taken', hint="hints are unique (Workload API, section 5.2.1)")

    def _set(self, state: State) -> None:
        self.state = state
        self._changed()


def _signers(domain: InMemoryTrustDomain) -> tuple[bytes, str]:
    return domain.x509_authority, domain.wit_key_id


def _nobody() -> None:
    pass


def _renew_at(ttl: int) -> float:
    # Half-way; a certificate's dates are whole seconds, so that it may live one less than it was asked for.
    return time.monotonic() + max(ttl - 1, 0.5) / 2
