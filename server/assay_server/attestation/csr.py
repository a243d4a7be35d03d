"""The signing request of an agent: only its key counts, the server knows the names."""

from assay.crypto import csr
from assay.crypto.keys import PublicKey
from assay.errors import InvalidArgumentError, prefixed


def agent_key(der: bytes) -> PublicKey:
    """The public key of a request whose signature holds.

    Raises:
        InvalidArgumentError: missing, malformed, a weak key, or a signature that does not hold.
    """
    if not der:
        raise InvalidArgumentError("missing CSR")
    with prefixed("failed to parse CSR"):
        return csr.parse(der).public_key
