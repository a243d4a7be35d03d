import pytest

from assay.dnsname import check_dns_name
from assay.errors import InvalidArgumentError

LONGEST = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])


@pytest.mark.parametrize(
    "name",
    [
        "com", "example.com", "*.example.com", "a-hello.com", "a_b.com", "_srv.com", "EXAMPLE.com", "1.2", "a" * 63,
        "xn--ls8h.org", "xn--bcher-kva.example", "*.xn--ls8h.org", LONGEST, f"*.{LONGEST}",
    ],
)  # fmt: skip
def test_what_spire_takes_is_taken(name: str) -> None:
    check_dns_name(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty or only whitespace"),
        (" ", "empty or only whitespace"),
        ("*.", "empty or only whitespace"),
        (".", "domain ends with dot"),
        ("example.com.", "domain ends with dot"),
        ("*.foo.*.bar", "too many wildcards"),
        ("foo.*.bar", "wildcard must be first label"),
        ("*", "wildcard must be first label"),
        ("*foo.bar", "wildcard must be first label"),
        ("💩.com", "name must be ascii"),
        ("-hello.com", 'idna error\nidna: invalid label "-hello"'),
        ("hello-.com", "idna error"),
        ("ab--cd.com", "idna error"),
        ("a..b", 'idna error\nidna: invalid label "a..b"'),
        (".a", "idna error"),
        ("a b.com", "idna error"),
        ("a/b", "idna error"),
        ("a:1", "idna error"),
        ("a\x00b", "idna error"),
        ("a\n", "idna error"),
        ("xn--", "idna error"),
        ("xn--a-.com", "idna error"),
        ("xn--a.com", "idna error"),  # a control character
        ("xn--99999999999.com", "idna error"),
        ("a" * 64, "idna error"),
        (LONGEST + "d", "idna error"),
    ],
)
def test_what_is_no_dns_name_is_refused(name: str, reason: str) -> None:
    with pytest.raises(InvalidArgumentError) as refusal:
        check_dns_name(name)
    assert refusal.value.message.startswith(reason)
