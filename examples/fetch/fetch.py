"""Fetch both kinds of SVID with py-spiffe, a Workload API client that knows nothing of Assay.

export SPIFFE_ENDPOINT_SOCKET=unix:/path/to/api.sock
python examples/fetch/fetch.py
"""

from spiffe import WorkloadApiClient


def main() -> None:
    with WorkloadApiClient() as client:
        x509 = client.fetch_x509_svid()
        print(f"X509-SVID  {x509.spiffe_id}  until {x509.leaf.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC")
        jwt = client.fetch_jwt_svid(audience={"example"})
        print(f"JWT-SVID   {jwt.spiffe_id}  until {jwt.expiry}")
        checked = client.validate_jwt_svid(jwt.token, audience="example")
        print(f"validated  {checked.spiffe_id}")


if __name__ == "__main__":
    main()
