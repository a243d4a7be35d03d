"""Distinguished names as Go writes them, attribute for attribute and byte for byte, so that peers see SPIRE's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.x509.oid import NameOID

from assay.crypto import der

# In the order in which Go's pkix.Name writes them; what it does not know it leaves out.
_ATTRIBUTES = (
    NameOID.COUNTRY_NAME,
    NameOID.STATE_OR_PROVINCE_NAME,
    NameOID.LOCALITY_NAME,
    NameOID.STREET_ADDRESS,
    NameOID.POSTAL_CODE,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.COMMON_NAME,
    NameOID.SERIAL_NUMBER,
)
_OIDS = {oid: der.object_identifier(oid.dotted_string) for oid in _ATTRIBUTES}
_PRINTABLE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")


@dataclass(frozen=True)
class Subject:
    """The values of each attribute; what has none is not written."""

    values: Mapping[x509.ObjectIdentifier, tuple[str, ...]] = field(
        default_factory=dict[x509.ObjectIdentifier, tuple[str, ...]]
    )

    @classmethod
    def of(cls, *, country: Sequence[str] = (), organization: Sequence[str] = (), common_name: str = "") -> "Subject":
        """From the attributes a configuration can set."""
        return cls(
            {
                NameOID.COUNTRY_NAME: tuple(country),
                NameOID.ORGANIZATION_NAME: tuple(organization),
                NameOID.COMMON_NAME: (common_name,) if common_name else (),
            }
        )

    @classmethod
    def from_name(cls, name: x509.Name) -> "Subject":
        """From the name of a signing request."""
        values: dict[x509.ObjectIdentifier, tuple[str, ...]] = {}
        for attribute in name:
            if attribute.oid in _OIDS:
                values[attribute.oid] = (*values.get(attribute.oid, ()), _text(attribute))
        return cls(values)

    def with_common_name(self, common_name: str) -> "Subject":
        """The same with that common name in place of any other."""
        return Subject({**self.values, NameOID.COMMON_NAME: (common_name,)})

    def with_serial_number(self, serial: int) -> "Subject":
        """The same with that serial number (decimal), unless it has one."""
        if self.values.get(NameOID.SERIAL_NUMBER):
            return self
        return Subject({**self.values, NameOID.SERIAL_NUMBER: (str(serial),)})

    def encode(self) -> bytes:
        """The Name as DER; values of one attribute share one set, as Go has it."""
        return der.sequence(*(_encode_set(oid, self.values[oid]) for oid in _ATTRIBUTES if self.values.get(oid)))


DEFAULT_SVID_SUBJECT = Subject.of(country=["US"], organization=["SPIRE"])
DEFAULT_CA_SUBJECT = Subject.of(country=["US"], organization=["SPIFFE"])
EMPTY = der.sequence()


def _text(attribute: x509.NameAttribute[str | bytes]) -> str:
    value = attribute.value
    return value if isinstance(value, str) else value.decode("utf-8", errors="replace")


def _encode_set(oid: x509.ObjectIdentifier, values: Sequence[str]) -> bytes:
    pairs = [der.sequence(_OIDS[oid], _encode_string(value)) for value in values]
    return der.element(der.SET, b"".join(sorted(pairs)))


def _encode_string(value: str) -> bytes:
    tag = der.PRINTABLE_STRING if _PRINTABLE.issuperset(value) else der.UTF8_STRING
    return der.element(tag, value.encode())
