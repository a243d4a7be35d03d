"""Who asks: clients are workloads, known by an SVID of one of three kinds (draft-ietf-oauth-spiffe-client-auth)."""

from dataclasses import dataclass
from enum import Enum

from assay.authorize import Authorizer
from assay.bundle import jwk
from assay.clock import Clock
from assay.crypto.certificate import dates_of, load
from assay.crypto.keys import from_pkix
from assay.errors import AssayError
from assay.spiffeid import SpiffeId
from assay.svid import wit
from assay.svid.refusal import RefusedError
from assay.verify import BundleSource, JwtVerifier, X509Verifier
from assay_server.governance.request import Binding, Confirmation
from assay_server.oauth.errors import OAuthError, invalid_client, invalid_request
from assay_server.oauth.form import Form, only
from assay_server.oauth.proof import certificate_thumbprint, check_attestation_pop
from assay_server.oauth.replay import Seen

JWT_SPIFFE = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
ATTESTATION, ATTESTATION_POP = "oauth-client-attestation", "oauth-client-attestation-pop"


class Method(Enum):
    """How a client proved who it is; values are those of `token_endpoint_auth_methods_supported`."""

    JWT_SVID = "spiffe_jwt"
    X509_SVID = "spiffe_x509"
    WIT_SVID = "attest_jwt_client_auth"


@dataclass(frozen=True, slots=True)
class Client:
    """A workload that was authenticated; `ends_at` (Unix seconds) is when what it showed ends.

    `confirmation` is the key that it holds by that, None for JWT-SVIDs, which anybody could have sent on.
    """

    spiffe_id: SpiffeId
    method: Method
    confirmation: Confirmation | None
    ends_at: int


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request has that may say who sends it: the connection's certificates (DER) and these headers' values."""

    chain: tuple[bytes, ...]
    attestations: tuple[str, ...]
    proofs: tuple[str, ...]


class ClientAuthentication:
    """Knows clients of the trust domains of `bundles` that `authorize` admits; `issuer` is our own name, a URL."""

    def __init__(self, issuer: str, bundles: BundleSource, authorize: Authorizer, clock: Clock, seen: Seen) -> None:
        self._issuer = issuer
        self._bundles = bundles
        self._authorize = authorize
        self._clock = clock
        self._seen = seen
        self._jwt = JwtVerifier(bundles, issuer, authorize, clock)
        self._x509 = X509Verifier(bundles, authorize, clock)

    def client(self, form: Form, presented: Presented) -> Client:
        """The client, by the one method that it used.

        Raises:
            OAuthError: `invalid_client`, or `invalid_request` for two methods at once.
        """
        client = self._authenticated(form, presented)
        named = only(form, "client_id")
        if named and named != str(client.spiffe_id):
            raise invalid_client("client_id is not the SPIFFE ID of the SVID")
        return client

    def by_certificate(self, chain: tuple[bytes, ...]) -> Client:
        """The client of a connection, where nothing but its X.509-SVID counts.

        Raises:
            OAuthError: `invalid_client`.
        """
        if not chain:
            raise invalid_client("show an X.509-SVID: this is open to mutual TLS only")
        try:
            return self._of_certificate(chain)
        except RefusedError as error:
            raise invalid_client(f"SVID is not accepted: {error.reason.value}") from error
        except AssayError as error:
            raise invalid_client("SVID is not accepted") from error

    def _authenticated(self, form: Form, presented: Presented) -> Client:
        by_assertion = "client_assertion" in form or "client_assertion_type" in form
        by_attestation = bool(presented.attestations or presented.proofs)
        if by_assertion and by_attestation:
            raise invalid_request("more than one way to authenticate the client")
        try:
            if by_assertion:
                return self._by_jwt(form)
            if by_attestation:
                return self._by_wit(presented)
            return self._by_certificate(form, presented.chain)
        except RefusedError as error:
            raise invalid_client(f"SVID is not accepted: {error.reason.value}") from error
        except AssayError as error:
            raise invalid_client("SVID is not accepted") from error

    def _by_jwt(self, form: Form) -> Client:
        if only(form, "client_assertion_type") != JWT_SPIFFE:
            raise invalid_client(f"client_assertion_type has to be {JWT_SPIFFE}")
        svid = self._jwt.verify(only(form, "client_assertion"))
        # Section 3.1: nobody else may be able to present it here.
        if svid.audience != (self._issuer,):
            raise invalid_client("the JWT-SVID's audience has to be the issuer alone")
        return Client(svid.spiffe_id, Method.JWT_SVID, None, svid.expires_at)

    def _by_certificate(self, form: Form, chain: tuple[bytes, ...]) -> Client:
        if not chain:
            raise invalid_client("show a JWT-SVID, an X.509-SVID or a WIT-SVID")
        if not only(form, "client_id"):
            raise invalid_client("client_id has to be the SPIFFE ID of the certificate")
        return self._of_certificate(chain)

    def _of_certificate(self, chain: tuple[bytes, ...]) -> Client:
        spiffe_id = self._x509.verify(chain)
        confirmation = Confirmation(Binding.CERTIFICATE, certificate_thumbprint(chain[0]))
        return Client(spiffe_id, Method.X509_SVID, confirmation, int(dates_of(load(chain[0]))[1].timestamp()))

    def _by_wit(self, presented: Presented) -> Client:
        if len(presented.attestations) != 1 or len(presented.proofs) != 1:
            raise OAuthError("invalid_client", "one OAuth-Client-Attestation and one proof of possession are needed")
        now = self._clock.now()
        svid = wit.verify(presented.attestations[0], self._bundles.bundles(), now)
        self._authorize.check(svid.spiffe_id)
        check_attestation_pop(
            presented.proofs[0], svid.public_key, svid.algorithm, self._issuer, now.timestamp(), self._seen
        )
        members = jwk.emit(from_pkix(svid.public_key))
        return Client(
            svid.spiffe_id, Method.WIT_SVID, Confirmation(Binding.DPOP, jwk.thumbprint(members)), svid.expires_at
        )
