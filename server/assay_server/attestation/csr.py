"""The signing request of an agent: only its key counts, the server knows the names."""

from assay.crypto import csr
from assay.crypto.keys import PublicKey
from assay.errors import InvalidArgumentError


def agent_key(der: bytes) -> PublicKey:
    """The public key of a request whose signature holds.

    Raises:
        InvalidArgumentError: missing, malformed, a weak key, or a signature that does not hold.
    """
    if not der:
        raise InvalidArgumentError("missing CSR")
    try:
        return csr.parse(der).public_key
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"failed to parse CSR: {error.message}", hint=error.hint) from None
