"""Responses as bytes, made once for each state of the cache however many streams send them."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from weakref import WeakKeyDictionary

from google.protobuf.message import Message

from assay.bundle import Bundle
from assay.bundle.jwks import emit_jwt, emit_wit
from assay_agent.cache import Identity, WorkloadView
from assay_proto.workloadapi import workloadapi_pb2 as pb

# Bundles whose JWK Set is kept: a trust domain has one at a time.
MAX_BUNDLES = 256


class Replies:
    """The streamed responses that are each made from a view. Equal contents give equal bytes.

    `x509_svids` (X509SVIDResponse) has every identity, the default one first, and the bundles; `x509_bundles`
    (X509BundlesResponse), `jwt_bundles` (JWTBundlesResponse, plain JWK Sets) and `wit_bundles` (WITBundlesResponse,
    the same as text) have the own bundle and those that the caller's entries federate with.
    """

    def __init__(self) -> None:
        self.x509_svids = _per_view(self._make_x509_svids)
        self.x509_bundles = _per_view(_make_x509_bundles)
        self.jwt_bundles = _per_view(self._make_jwt_bundles)
        self.wit_bundles = _per_view(_make_wit_bundles)
        self._keys: WeakKeyDictionary[Identity, bytes] = WeakKeyDictionary()
        self._jwks = lru_cache(MAX_BUNDLES)(emit_jwt)

    def _make_x509_svids(self, view: WorkloadView) -> bytes:
        bundle = _certificates(view.bundle)
        return _encode(
            pb.X509SVIDResponse(
                svids=[self._x509_svid(identity, bundle) for identity in view.identities],
                federated_bundles={str(one.trust_domain.id): _certificates(one) for one in view.federated},
            )
        )

    def _x509_svid(self, identity: Identity, bundle: bytes) -> pb.X509SVID:
        return pb.X509SVID(
            spiffe_id=str(identity.entry.spiffe_id),
            x509_svid=b"".join(identity.svid.chain),
            x509_svid_key=self._key(identity),
            bundle=bundle,
            hint=identity.entry.hint,
        )

    def _key(self, identity: Identity) -> bytes:
        key = self._keys.get(identity)
        if key is None:
            key = self._keys[identity] = identity.svid.key_pkcs8
        return key

    def _make_jwt_bundles(self, view: WorkloadView) -> bytes:
        return _encode(
            pb.JWTBundlesResponse(bundles={str(one.trust_domain.id): self._jwks(one) for one in _bundles(view)})
        )


def _make_wit_bundles(view: WorkloadView) -> bytes:
    return _encode(
        pb.WITBundlesResponse(bundles={str(one.trust_domain.id): emit_wit(one).decode() for one in _bundles(view)})
    )


def _make_x509_bundles(view: WorkloadView) -> bytes:
    return _encode(
        pb.X509BundlesResponse(bundles={str(one.trust_domain.id): _certificates(one) for one in _bundles(view)})
    )


def _bundles(view: WorkloadView) -> Iterable[Bundle]:
    return view.bundle, *view.federated


def _certificates(bundle: Bundle) -> bytes:
    return b"".join(authority.der for authority in bundle.x509_authorities)


def _encode(message: Message) -> bytes:
    # Map entries come in any order otherwise, and equal responses would look like changes.
    return message.SerializeToString(deterministic=True)


def _per_view(make: Callable[[WorkloadView], bytes]) -> Callable[[WorkloadView], bytes]:
    made: WeakKeyDictionary[WorkloadView, bytes] = WeakKeyDictionary()

    def get(view: WorkloadView) -> bytes:
        found = made.get(view)
        if found is None:
            found = made[view] = make(view)
        return found

    return get
