import pytest

from assay.config.address import host_port
from assay.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "address"),
    [("localhost:8125", ("localhost", 8125)), ("[::1]:1", ("::1", 1)), ("10.0.0.1:65535", ("10.0.0.1", 65535))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert host_port(text) == address


@pytest.mark.parametrize("text", ["", "localhost", ":1", "a:", "a:0", "a:65536", "a:x", "::1:8125", "[a]:1", "a:1²"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        host_port(text)
