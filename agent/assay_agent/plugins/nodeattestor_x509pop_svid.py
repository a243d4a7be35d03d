"""The agent's end of x509pop whose certificate is an X.509-SVID; loaded only where configured."""

from assay.errors import AssayError, UnavailableError, prefixed
from assay.plugin.nodeattestor import AgentConversation
from assay.workloadapi import Endpoint, WorkloadApiClient
from assay_agent.plugins.nodeattestor_x509pop import NAME, Proof

# Seconds that the Workload API may take.
WITHIN = 60.0


class SvidAttestor:
    """Takes certificate and key from a Workload API at each attestation: the default X.509-SVID of this process there.

    The server is of `mode = "spiffe"`, then, or trusts the CA of the trust domain that the SVID is of.
    """

    type = NAME

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    @classmethod
    def configure(cls, address: str) -> "SvidAttestor":
        """From `spiffe_endpoint_socket`; raises InvalidArgumentError when it is no such address."""
        with prefixed("nodeattestor(x509pop): spiffe_endpoint_socket"):
            return cls(Endpoint.parse(address))

    async def begin(self) -> AgentConversation:
        """Start over with what that API says now.

        Raises:
            UnavailableError: it has no SVID for this process, or cannot be asked.
        """
        try:
            async with WorkloadApiClient(self._endpoint) as client:
                svid = (await client.fetch_x509(within=WITHIN)).default
        except AssayError as error:
            message = f"nodeattestor(x509pop): unable to fetch SVID from workload API: {error.message}"
            raise UnavailableError(message, hint=error.hint) from error
        if svid.key is None:
            raise UnavailableError("nodeattestor(x509pop): unable to fetch SVID from workload API: it has no key")
        return Proof.of(svid.chain, svid.key)
