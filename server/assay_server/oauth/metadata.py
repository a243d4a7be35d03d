"""What the endpoint says of itself (RFC 8414, OpenID Connect Discovery)."""

from typing import Any

from assay.governed.authority import DETAIL_TYPE
from assay.svid.jws import ALGORITHMS
from assay_server.oauth.client import Method
from assay_server.oauth.grant import CLIENT_CREDENTIALS, EXCHANGE

TOKEN, INTROSPECT, REVOKE, JWKS = "/token", "/introspect", "/revoke", "/jwks"
STATUS = "/status"
SERVER = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"


def metadata(issuer: str) -> dict[str, Any]:
    """The document."""
    methods = [method.value for method in Method]
    return {
        "issuer": issuer,
        "token_endpoint": issuer + TOKEN,
        "jwks_uri": issuer + JWKS,
        "introspection_endpoint": issuer + INTROSPECT,
        "revocation_endpoint": issuer + REVOKE,
        "status_list_aggregation_endpoint": issuer + STATUS,
        "grant_types_supported": [EXCHANGE, CLIENT_CREDENTIALS],
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "ES384", "RS256"],
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "dpop_signing_alg_values_supported": sorted(ALGORITHMS),
        "authorization_details_types_supported": [DETAIL_TYPE],
        "tls_client_certificate_bound_access_tokens": True,
        "entity_profiles_supported": {
            "subject": ["user", "service", "device", "ai_agent"],
            "actor": ["service", "device", "ai_agent"],
        },
    }
