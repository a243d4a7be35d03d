import pytest

from assay.bundle import X509Authority, pem
from assay.errors import InvalidArgumentError
from assay.testing.authority import Ca


def test_goes_there_and_back() -> None:
    authorities = (X509Authority(Ca.create("a").der), X509Authority(Ca.create("b").der))
    text = pem.emit(authorities)
    assert text.count(b"BEGIN CERTIFICATE") == 2
    assert pem.parse(text) == authorities


@pytest.mark.parametrize(
    "text",
    [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"-----BEGIN CERTIFICATE-----\n"],
)
def test_refuses_what_is_no_bundle(text: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match="unable to parse PEM bundle"):
        pem.parse(text)
