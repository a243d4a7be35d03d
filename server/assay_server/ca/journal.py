"""Whether the journal is ours, and whether a line of it can still serve; pure."""

from collections.abc import Iterable

from cryptography import x509

from assay.bundle import Bundle
from assay.crypto.certificate import DAMAGE, extensions_of, load
from assay.crypto.keys import same_key
from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.keymanager import SigningKey
from assay.spiffeid import TrustDomain
from assay_server.ca.authority import public_key
from assay_server.ca.publication import published
from assay_server.model import AuthorityKind, AuthorityRecord


def check_trust_domain(records: Iterable[AuthorityRecord], trust_domain: TrustDomain) -> None:
    """Refuse the journal of another trust domain, whose authorities a first rotation would overwrite.

    Raises:
        FailedPreconditionError: an authority in it is of another trust domain.
    """
    for record in records:
        owner = _trust_domain_uri(record)
        if owner and owner != str(trust_domain.id):
            raise FailedPreconditionError(
                f'trust domain "{trust_domain}" is configured, but the datastore belongs to "{owner}"',
                hint="set trust_domain as it was, or give this server a data_dir of its own",
            )


def _trust_domain_uri(record: AuthorityRecord) -> str:
    if record.kind is not AuthorityKind.X509:
        return ""
    try:
        names = extensions_of(load(record.document)).get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, InvalidArgumentError, *DAMAGE):
        return ""  # a damaged line says nothing; `unusable` passes it over
    return next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), "")


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
