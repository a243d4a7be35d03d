"""How often one address may ask for what costs the server most."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Per second and IP address, and as many at once; None is without limit. The defaults are SPIRE's.

    `x509_signing` is what X.509 batches, renewals of agents and downstream CAs share. `publishing` is for authorities
    that downstream servers publish, `status` for agents that tell their version.
    """

    attestation: int | None = 1
    x509_signing: int | None = 500
    jwt_signing: int | None = 500
    wit_signing: int | None = 500
    publishing: int | None = 500
    status: int | None = 10
