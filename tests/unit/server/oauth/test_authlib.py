"""A client library of others at the endpoint."""

from typing import Any

from authlib.integrations.httpx_client import AsyncOAuth2Client

CRM = "https://crm/mcp"
ME = "spiffe://example.org/principal/bot"
Endpoint = Any


async def test_authlib_finds_its_way_by_the_metadata_alone(endpoint: Endpoint) -> None:
    path = "/principal/bot"
    async with endpoint.client(path) as plain:
        found = (await plain.get("/.well-known/oauth-authorization-server")).json()
    async with AsyncOAuth2Client(ME, token_endpoint_auth_method="none", verify=endpoint.context(path)) as client:
        token = await client.fetch_token(found["token_endpoint"], grant_type="client_credentials", resource=CRM)
        assert token["expires_in"] == 300
        told = await client.introspect_token(found["introspection_endpoint"], token=token["access_token"])
        assert told.json()["active"] is True
        gone = await client.revoke_token(found["revocation_endpoint"], token=token["access_token"])
        assert gone.status_code == 200
        told = await client.introspect_token(found["introspection_endpoint"], token=token["access_token"])
        assert told.json() == {"active": False}
