"""Whether a journal line can still serve; pure."""

from assay.bundle import Bundle
from assay.crypto.keys import same_key
from assay.errors import InvalidArgumentError
from assay.keymanager import SigningKey
from assay_server.ca.authority import public_key
from assay_server.ca.publication import published
from assay_server.model import AuthorityRecord


def unusable(record: AuthorityRecord, key: SigningKey | None, bundle: Bundle | None, now: int) -> str:
    """Why it cannot serve, empty if it can. `key` is what the key manager has under the line's key ID.

    A restored database or key file can leave either without the other; a key that nobody can verify must not sign.
    """
    if record.not_after <= now:
        return "slot expired"
    if key is None:
        return "no key manager key"
    try:
        if not same_key(public_key(record), key.public_key()):
            return "public key does not match key manager key"
    except InvalidArgumentError as error:
        return error.message
    if bundle is None or not published(bundle, record):
        return "not in the trust domain's bundle"
    return ""
