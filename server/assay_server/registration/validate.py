"""What may be registered: pure rules over an entry, in the words SPIRE's clients know.

Two stages, as in SPIRE, because its messages name them: first each field by itself (`MalformedEntryError`), then
the entry as a whole.
"""

import re
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from assay.dnsname import check_dns_name
from assay.entry import Entry
from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.namespace import require_member, require_workload
from assay.spiffeid import TrustDomain

MAX_HINT_BYTES = 1024
MAX_ENTRY_ID = 255
MAX_TTL = 2**31 - 1
MAX_TIME = 2**63 - 1

_ENTRY_ID = re.compile(r"[A-Za-z0-9._-]*")
_WHOLE = "datastore-validation"


class GovernedEntryError(FailedPreconditionError):
    """The entry is a principal's binding, or would take the ID of one."""


class MalformedEntryError(InvalidArgumentError):
    """A field of the entry is wrong by itself."""


def _parent(entry: Entry, trust_domain: TrustDomain) -> None:
    try:
        require_member(entry.parent_id, trust_domain)
    except InvalidArgumentError as error:
        raise _malformed("invalid parent ID", error) from None


def _spiffe_id(entry: Entry, trust_domain: TrustDomain) -> None:
    try:
        require_workload(entry.spiffe_id, trust_domain)
    except InvalidArgumentError as error:
        raise _malformed("invalid spiffe ID", error) from None


def _dns_names(entry: Entry, _: TrustDomain) -> None:
    try:
        for name in entry.dns_names:
            check_dns_name(name)
    except InvalidArgumentError as error:
        raise _malformed("invalid DNS name", error) from None


def _federates_with(entry: Entry, trust_domain: TrustDomain) -> None:
    if trust_domain in entry.federates_with:
        raise MalformedEntryError(
            f'invalid federated trust domain: "{trust_domain}" is the server\'s own trust domain',
            hint="every workload has its own trust domain's bundle anyway",
        )


def _selectors(entry: Entry, _: TrustDomain) -> None:
    if not entry.selectors:
        raise MalformedEntryError("selector list is empty")


def _hint(entry: Entry, _: TrustDomain) -> None:
    if len(entry.hint.encode()) > MAX_HINT_BYTES:
        raise MalformedEntryError(f"hint is too long, max length is {MAX_HINT_BYTES} characters")


_RULES: Mapping[str, Callable[[Entry, TrustDomain], None]] = MappingProxyType(
    {
        "parent_id": _parent,
        "spiffe_id": _spiffe_id,
        "dns_names": _dns_names,
        "federates_with": _federates_with,
        "selectors": _selectors,
        "hint": _hint,
    }
)


def check_fields(entry: Entry, trust_domain: TrustDomain, fields: Collection[str] | None = None) -> None:
    """Check each of these fields (all without `fields`) by itself.

    Raises:
        MalformedEntryError: one of them breaks its rule.
    """
    for field, rule in _RULES.items():
        if fields is None or field in fields:
            rule(entry, trust_domain)


def check_whole(entry: Entry, *, new: bool = True) -> None:
    """Check what is left: the ID, the numbers, and what depends on several fields.

    As in SPIRE, only a new entry may not be both for a store and kept from prefetching.

    Raises:
        InvalidArgumentError: the entry cannot be stored so.
    """
    if entry.store_svid:
        _check_stored_svid(entry, new=new)
    if len(entry.id) > MAX_ENTRY_ID:
        raise _invalid("entry ID too long")
    if not _ENTRY_ID.fullmatch(entry.id):
        raise _invalid("entry ID contains invalid characters", hint="letters, numbers, '.', '-' and '_' are allowed")
    if not 0 <= entry.x509_svid_ttl <= MAX_TTL:
        raise _invalid("X509SvidTtl is not set", hint=f"a TTL is 0 (the server's default) to {MAX_TTL} seconds")
    if not 0 <= entry.jwt_svid_ttl <= MAX_TTL:
        raise _invalid("JwtSvidTtl is not set", hint=f"a TTL is 0 (the server's default) to {MAX_TTL} seconds")
    if not 0 <= entry.expires_at <= MAX_TIME:
        raise _invalid("expiry is out of range", hint="give Unix seconds, or 0 for never")


def check_binding(stored: Entry, entry: Entry) -> None:
    """Check what a principal's binding is to become: its ID is the principal's, and it has no standing of its own.

    Raises:
        GovernedEntryError: only the principal can change that.
    """
    whose = f'entry is a binding of principal "{stored.principal}"'
    if entry.spiffe_id != stored.spiffe_id:
        raise GovernedEntryError(
            f"{whose}, whose ID it has", hint="unbind it, and change the principal's --id-template"
        )
    for field in ("admin", "downstream", "store_svid", "expires_at"):
        if getattr(entry, field):
            raise GovernedEntryError(
                f"{whose}, which cannot have {field}", hint="register a plain entry for that, or suspend the principal"
            )


def _check_stored_svid(entry: Entry, *, new: bool) -> None:
    if new and entry.disable_x509_svid_prefetch:
        raise InvalidArgumentError(f"{_WHOLE}: specifying cache behaviour is incompatible with storable SVIDs")
    if len({selector.type for selector in entry.selectors}) > 1:
        raise _invalid("selector types must be the same when store SVID is enabled")


def _invalid(message: str, *, hint: str = "") -> InvalidArgumentError:
    return InvalidArgumentError(f"{_WHOLE}: invalid registration entry: {message}", hint=hint)


def _malformed(what: str, error: InvalidArgumentError) -> MalformedEntryError:
    return MalformedEntryError(f"{what}: {error.message}", hint=error.hint)
