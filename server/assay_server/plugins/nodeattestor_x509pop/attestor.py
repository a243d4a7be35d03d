"""The conversation: verify the chain, have possession of the key proven, name the node after its certificate."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import unquote, urlsplit

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from assay.clock import Clock
from assay.errors import InvalidArgumentError, PermissionDeniedError, UnavailableError
from assay.plugin.nodeattestor import AttestedNode
from assay.selector import Selector
from assay.spiffeid import SpiffeId, SpiffeIdError, TrustDomain
from assay_server.plugins.nodeattestor_x509pop import proof
from assay_server.plugins.nodeattestor_x509pop.chain import Roots, parse_chain, verify_chain
from assay_server.plugins.nodeattestor_x509pop.config import X509PopConfig

log = structlog.get_logger(__name__)

NAME = "x509pop"


class X509PopAttestor:
    """Admits nodes that hold a key certified by one of the configured roots; they may attest again at will.

    In mode "spiffe" the roots are the trust domain's own: `authorities` gives what they are now (DER).
    """

    def __init__(
        self,
        config: X509PopConfig,
        trust_domain: TrustDomain,
        clock: Clock,
        authorities: Callable[[], Sequence[bytes]] = tuple,
    ) -> None:
        self._config = config
        self._authorities = authorities
        self._known: Sequence[bytes] = ()
        self._roots = Roots(config.roots) if config.roots else None
        self._trust_domain = trust_domain
        self._clock = clock

    async def attest(self, payload: bytes, challenge: Callable[[bytes], Awaitable[bytes]]) -> AttestedNode:
        """Verify, challenge, verify the answer.

        Raises:
            InvalidArgumentError: malformed data, or a certificate that no agent ID can be made of.
            PermissionDeniedError: the certificate does not admit, or its key is not proven.
            UnavailableError: the trust bundle is not known yet.
        """
        chain = parse_chain(
            proof.certificates_in(payload),
            max_intermediates=self._config.max_intermediates,
            max_rsa_bits=self._config.max_rsa_bits,
        )
        verified = verify_chain(chain, self._trusted(), self._clock.now())
        key, nonce = proof.proof_key(chain[0]), proof.new_nonce()
        proof.verify(key, nonce, await challenge(proof.challenge(key, nonce)))
        return self._node(chain[0], verified)

    def _trusted(self) -> Roots:
        if self._config.svid_prefix is not None:
            authorities = self._authorities()
            if self._roots is None or authorities != self._known:
                self._roots, self._known = _roots_of(authorities), authorities
        if self._roots is None:
            raise UnavailableError("failed to get trust bundle: there is no authority to verify nodes with")
        return self._roots

    def _node(self, leaf: x509.Certificate, chain: Sequence[x509.Certificate]) -> AttestedNode:
        name, serial = _common_name(leaf), serial_hex(leaf)
        san = _san_selectors(leaf, self._trust_domain)
        try:
            path = self._config.path_template.path(self._fields(leaf, name, serial, san))
            agent = SpiffeId(self._trust_domain, f"/spire/agent{path}")
        except SpiffeIdError as error:
            raise InvalidArgumentError(f"failed to make spiffe id: {error.message}", hint=error.hint) from None
        values = _selector_values(chain, name, serial, san)
        return AttestedNode(agent, tuple(Selector(NAME, value) for value in values), can_reattest=True)

    def _fields(self, leaf: x509.Certificate, name: str, serial: str, san: dict[str, str]) -> dict[str, str]:
        fields = {
            "PluginName": NAME,
            "Fingerprint": fingerprint(leaf),
            "SerialNumberHex": serial,
            "TrustDomain": self._trust_domain.name,
            **{f"URISanSelectors.{key}": value for key, value in san.items()},
        }
        if name:
            fields["Subject.CommonName"] = name
        if self._config.svid_prefix is not None:
            fields["SVIDPathTrimmed"] = _svid_path(leaf, self._trust_domain, self._config.svid_prefix)
        return fields


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-1 of the certificate in hex: a name, as SPIRE makes it, and no proof of anything."""
    return hashlib.sha1(certificate.public_bytes(Encoding.DER), usedforsecurity=False).hexdigest()


def serial_hex(certificate: x509.Certificate) -> str:
    """The serial number in lower-case hex with an even number of digits."""
    text = f"{certificate.serial_number:x}"
    return text.zfill(len(text) + len(text) % 2)


def _roots_of(authorities: Sequence[bytes]) -> Roots | None:
    return Roots([x509.load_der_x509_certificate(one) for one in authorities]) if authorities else None


def _svid_path(leaf: x509.Certificate, trust_domain: TrustDomain, prefix: str) -> str:
    """What follows the prefix in the path of the certificate's SPIFFE ID; the first, as in SPIRE, if there are several.

    Raises:
        PermissionDeniedError: there is none, or it is of another trust domain, or does not begin so.
    """
    uri = next((urlsplit(one) for one in _uris(leaf) if one.startswith("spiffe://")), None)
    if uri is None:
        raise PermissionDeniedError("valid SVID x509 cert not found")
    # An intermediate CA below ours may sign any name: SPIRE leaves that to whoever runs it.
    if uri.netloc != trust_domain.name:
        raise PermissionDeniedError(f'x509 cert is not of trust domain "{trust_domain}"')
    if not uri.path.startswith(prefix):
        raise PermissionDeniedError(
            "x509 cert doesnt match SVID prefix", hint=f"the path of the node's SVID begins with {prefix}"
        )
    return uri.path.removeprefix(prefix)


def _common_name(leaf: x509.Certificate) -> str:
    names = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[-1].value) if names else ""


def _selector_values(chain: Sequence[x509.Certificate], name: str, serial: str, san: dict[str, str]) -> list[str]:
    return [
        *([f"subject:cn:{name}"] if name else []),
        *dict.fromkeys(f"ca:fingerprint:{fingerprint(issuer)}" for issuer in chain[1:]),
        f"serialnumber:{serial}",
        *(f"san:{key}:{value}" for key, value in san.items()),
    ]


def _san_selectors(leaf: x509.Certificate, trust_domain: TrustDomain) -> dict[str, str]:
    """Key and value of every URI name x509pop://<trust domain>/<key>/<value>."""
    found: dict[str, str] = {}
    prefix = f"{NAME}://{trust_domain}/"
    for uri in _uris(leaf):
        if not uri.startswith(prefix):
            continue
        key, slash, value = unquote(urlsplit(uri).path).strip("/").partition("/")
        if slash:
            found[key] = value
        else:
            log.warning("Cannot extract x509pop san selectors", uri=uri)
    return found


def _uris(leaf: x509.Certificate) -> list[str]:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)
