"""The last look at X.509-SVIDs of one signer: what they share with one that has passed is compared, not read again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from assay.crypto import der
from assay.spiffeid import SpiffeId
from assay_server.credential.validate import check_leaf

# Forms that are remembered: one for each lifetime and subject in use, and others with the next second.
_FORMS = 64

# What a TBSCertificate begins with, and its members between serial number and key (RFC 5280, section 4.1).
_VERSION_3 = der.element(0xA0, der.integer(2))
_BETWEEN = slice(2, 6)
_EXTENSIONS = 0xA3
_LARGEST_SERIAL, _NEGATIVE = 20, 0x80

_DNS_NAME, _URI_NAME = 0x82, 0x86
_ALTERNATIVE_NAMES = der.object_identifier("2.5.29.17")
_KEY_ID_SIZE = 20
_KEY_ID = der.sequence(
    der.object_identifier("2.5.29.14"),
    der.element(der.OCTET_STRING, der.element(der.OCTET_STRING, bytes(_KEY_ID_SIZE))),
)
_KEY_ID_HEAD = _KEY_ID[:-_KEY_ID_SIZE]


@dataclass(frozen=True, slots=True)
class _Form:
    """What certificates may have in common, as DER: all but serial number, key and its identifier, names, signature.

    `between` stands between serial number and key, `before` and `behind` round the key's identifier among the
    extensions, of which the names come last.
    """

    between: bytes
    before: bytes
    behind: bytes
    algorithm: bytes

    def is_of(self, leaf: bytes, serial: bytes, public_key: bytes, rest: bytes, names: bytes) -> bool:
        """Whether `leaf` has this form with these parts, of which `rest` is what follows the key.

        Where the others are is guessed; that the guess is right shows when the certificate is written anew.
        """
        end = rest.find(names)
        key_id = rest[end - len(self.behind) - _KEY_ID_SIZE : end - len(self.behind)]
        signature = rest[end + len(names) + len(self.algorithm) :]
        extensions = der.sequence(self.before, key_id, self.behind, names)
        body = der.sequence(_VERSION_3, serial, self.between, public_key, der.element(_EXTENSIONS, extensions))
        return leaf == der.sequence(body, self.algorithm, signature) and _is_serial(serial) and _is_signature(signature)


class LeafLook:
    """Passes what `check_leaf` passes, and refuses with its words.

    Of a certificate whose form has passed before, octet for octet, only the time and what differs are looked at. What
    that does not settle gets the whole look: nothing is refused here, and nothing passes that was not looked at.
    """

    def __init__(self, signer: x509.Certificate) -> None:
        self._signer = signer
        self._passed: dict[bytes, tuple[_Form, datetime, datetime]] = {}

    @property
    def forms(self) -> int:
        """How many are remembered."""
        return len(self._passed)

    def check(
        self, leaf: bytes, *, spiffe_id: SpiffeId, dns_names: Sequence[str], public_key: bytes, now: datetime
    ) -> None:
        """Pass an X.509-SVID for this ID, these names and this public key (PKIX).

        Raises:
            InvalidCredentialError: it is not one.
        """
        names = names_extension(str(spiffe_id), dns_names)
        if spiffe_id.path and self._has_passed(leaf, public_key, names, now):
            return
        certificate = check_leaf(
            leaf, spiffe_id=spiffe_id, dns_names=dns_names, public_key=public_key, signer=self._signer, now=now
        )
        form = _form_of(leaf, names)
        if form is not None:
            if len(self._passed) >= _FORMS:
                self._passed.clear()
            self._passed[form.between] = form, certificate.not_valid_before_utc, certificate.not_valid_after_utc

    def _has_passed(self, leaf: bytes, public_key: bytes, names: bytes, now: datetime) -> bool:
        try:
            serial, rest = _after_version(leaf)
        except IndexError:
            return False
        between, key, rest = rest.partition(public_key)
        if between not in self._passed:
            return False
        form, begin, end = self._passed[between]
        return begin <= now <= end and form.is_of(leaf, serial, key, rest, names)


def names_extension(uri: str, dns_names: Sequence[str]) -> bytes:
    """The extension that says just these names, DNS names first, and is not critical."""
    value = der.element(_URI_NAME, uri.encode())
    if dns_names:
        value = b"".join(der.element(_DNS_NAME, name.encode()) for name in dns_names) + value
    return der.sequence(_ALTERNATIVE_NAMES, der.element(der.OCTET_STRING, der.sequence(value)))


def _form_of(leaf: bytes, names: bytes) -> _Form | None:
    """The form of a certificate that has passed; None when it has no identifier of its key, or not these names last."""
    body, algorithm, _ = der.split(der.contents(leaf))
    members = der.split(der.contents(body))
    extensions = der.split(der.contents(der.contents(members[-1])))
    key_ids = [i for i, one in enumerate(extensions) if one.startswith(_KEY_ID_HEAD) and len(one) == len(_KEY_ID)]
    if not key_ids or extensions[-1] != names:
        return None
    before, behind = extensions[: key_ids[0]], extensions[key_ids[0] + 1 : -1]
    return _Form(b"".join(members[_BETWEEN]), b"".join((*before, _KEY_ID_HEAD)), b"".join(behind), algorithm)


def _after_version(leaf: bytes) -> tuple[bytes, bytes]:
    """Where a serial number would be that follows version 3, and what follows it."""
    body = der.contents(der.contents(leaf))[len(_VERSION_3) :]
    end = 2 + int.from_bytes(body[1:2])
    return body[:end], body[end:]


def _is_serial(element: bytes) -> bool:
    """Whether it is a number that is not negative, in DER, and no longer than RFC 5280 has it (4.1.2.2)."""
    content = element[2:]
    if not 0 < len(content) <= _LARGEST_SERIAL or content[0] >= _NEGATIVE:
        return False
    return element == der.integer(int.from_bytes(content))


def _is_signature(element: bytes) -> bool:
    """Whether it is a BIT STRING of whole octets."""
    content = der.contents(element) if element else b""
    return content[:1] == b"\0" and element == der.element(der.BIT_STRING, content)
