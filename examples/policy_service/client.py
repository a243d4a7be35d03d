"""One request to the policy service: python client.py CLIENT_ID SERVICE_ID URL [--token]."""

import sys

import httpx

from assay.authorize import one_of
from assay.tls import client_context
from assay.workloadapi.blocking import JwtSource, X509Source


def ask(own: str, service: str, url: str, *, token: bool) -> httpx.Response:
    """By certificate, or by token and without a certificate; the service shows its own in any case."""
    with X509Source(spiffe_id=own) as x509, JwtSource() as jwt:
        context = client_context(x509, one_of(service), presents=not token)
        headers = {"authorization": f"Bearer {jwt.fetch(service, own).token}"} if token else {}
        with httpx.Client(verify=context, headers=headers) as client:
            return client.get(url)


if __name__ == "__main__":
    answer = ask(*sys.argv[1:4], token="--token" in sys.argv)
    print(answer.status_code, answer.text)
