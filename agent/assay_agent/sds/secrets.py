"""Secrets as Envoy reads them, made once for each state of the cache however many Envoys ask."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import sha256
from weakref import WeakKeyDictionary

import structlog
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from assay.bundle import Bundle, pem
from assay.errors import InvalidArgumentError
from assay.logline import quoted
from assay.rpc.status import EndError, StatusCode
from assay_agent.cache import Identity, WorkloadView
from assay_agent.config.settings import SdsSettings
from assay_agent.sds.names import AllBundles, Choice, Content, Offer, choose, offer
from assay_proto.envoy.config.core.v3.base_pb2 import DataSource
from assay_proto.envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from assay_proto.envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2
from assay_proto.envoy.extensions.transport_sockets.tls.v3.tls_spiffe_validator_config_pb2 import (
    SPIFFECertValidatorConfig,
)

log = structlog.get_logger(__name__)

VALIDATOR = "envoy.tls.cert_validator.spiffe"
TYPE_URL = f"type.googleapis.com/{secret_pb2.Secret.DESCRIPTOR.full_name}"
# A digest of that many hexadecimal digits tells one state of a secret from the next.
_VERSION_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Resource:
    """A secret, packed, and the version of its content: equal contents have equal versions, in every agent."""

    name: str
    packed: Any
    version: str


@dataclass(frozen=True, slots=True)
class _Made:
    offer: Offer
    resources: dict[tuple[str, bool], Resource]


class Secrets:
    """The secrets of views under the names that `settings` gives them.

    With `spiffe` bundles are written for Envoy's SPIFFE validator, which takes each for its own trust domain only;
    without, as CAs that are trusted for whatever they sign.
    """

    def __init__(self, settings: SdsSettings) -> None:
        self._settings = settings
        self._made: WeakKeyDictionary[WorkloadView, _Made] = WeakKeyDictionary()

    def answer(self, view: WorkloadView, names: frozenset[str], *, spiffe: bool) -> tuple[Resource, ...] | None:
        """All that the names stand for; None when what lacks is about to be signed.

        Raises:
            InvalidArgumentError: a name is not the caller's.
            EndError: as `resource` does.
        """
        choice = self.chosen(view, names)
        found = choice.found.items()
        # First, as in SPIRE: what an old Envoy cannot use is said before what is not its own.
        resources = tuple(self.resource(view, name, content, spiffe=spiffe) for name, content in found)
        if not choice.missing:
            return resources
        if set(choice.missing) <= self.pending(view):
            return None
        raise not_authorized(choice.missing)

    def chosen(self, view: WorkloadView, names: frozenset[str]) -> Choice:
        """What the names stand for, in the order in which it is sent."""
        return choose(self._of(view).offer, names)

    def pending(self, view: WorkloadView) -> AbstractSet[str]:
        """SPIFFE IDs whose SVID is being signed."""
        return self._of(view).offer.pending

    def resource(self, view: WorkloadView, name: str, content: Content, *, spiffe: bool) -> Resource:
        """One of the chosen as it is sent.

        Raises:
            EndError: all bundles are asked for, and not for the SPIFFE validator.
        """
        made = self._of(view).resources
        found = made.get((name, spiffe))
        if found is None:
            found = made[name, spiffe] = _resource(name, content, spiffe=spiffe)
        return found

    def _of(self, view: WorkloadView) -> _Made:
        made = self._made.get(view)
        if made is None:
            made = self._made[view] = _Made(offer(view, self._settings), {})
        return made


def not_authorized(names: tuple[str, ...]) -> InvalidArgumentError:
    """The refusal of names that are not the caller's, in SPIRE's words."""
    listed = " ".join(quoted(name) for name in names)
    return InvalidArgumentError(
        f"workload is not authorized for the requested identities [{listed}]",
        hint="an entry whose selectors the caller has, or one that federates with the trust domain",
    )


def _resource(name: str, content: Content, *, spiffe: bool) -> Resource:
    secret = secret_pb2.Secret(name=name)
    if isinstance(content, Identity):
        secret.tls_certificate.CopyFrom(_certificate(content))
    else:
        secret.validation_context.CopyFrom(_validation(content, spiffe=spiffe))
    packed = _packed(secret)
    return Resource(name, packed, sha256(packed.value).hexdigest()[:_VERSION_DIGITS])


def _certificate(identity: Identity) -> common_pb2.TlsCertificate:
    return common_pb2.TlsCertificate(
        certificate_chain=DataSource(inline_bytes=identity.svid.chain_pem()),
        private_key=DataSource(inline_bytes=identity.svid.key_pem()),
    )


def _validation(content: Bundle | AllBundles, *, spiffe: bool) -> common_pb2.CertificateValidationContext:
    if spiffe:
        bundles = content.bundles if isinstance(content, AllBundles) else (content,)
        typed = TypedExtensionConfig(name=VALIDATOR, typed_config=_packed(_validator(bundles)))
        return common_pb2.CertificateValidationContext(custom_validator_config=typed)
    if isinstance(content, AllBundles):
        raise EndError(StatusCode.INTERNAL, 'unable to use "SPIFFE validator" on Envoy below 1.17')
    return common_pb2.CertificateValidationContext(trusted_ca=_authorities(content))


def _validator(bundles: tuple[Bundle, ...]) -> SPIFFECertValidatorConfig:
    by_name = sorted(bundles, key=lambda bundle: bundle.trust_domain.name)
    domain = SPIFFECertValidatorConfig.TrustDomain
    return SPIFFECertValidatorConfig(
        trust_domains=[domain(name=one.trust_domain.name, trust_bundle=_authorities(one)) for one in by_name]
    )


def _authorities(bundle: Bundle) -> DataSource:
    return DataSource(inline_bytes=pem.emit(bundle.x509_authorities))


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
