import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.spiffeid import MAX_ID_BYTES, SpiffeId, SpiffeIdError, TrustDomain

TD_CHARACTERS = string.ascii_lowercase + string.digits + ".-_"
PATH_CHARACTERS = string.ascii_letters + string.digits + ".-_"


@pytest.mark.parametrize(
    "text",
    [
        *("spiffe://td", "spiffe://td/x", "spiffe://td/a/b/c", "spiffe://10.0.0.1/x", "spiffe://1.2.3.4"),
        *("spiffe://-a_b/x", "spiffe://999.1/x", "spiffe://a..b/x", "spiffe://td./x", "spiffe://.td/x"),
        *("spiffe://td/...", "spiffe://td/.a", "spiffe://td/a..", "spiffe://td/A", "spiffe://td/a/..."),
    ],
)
@pytest.mark.spec("ID-2.1-f", "ID-2.1-g", "ID-2.2-f")
def test_is_written_back_as_it_was_read(text: str) -> None:
    assert str(SpiffeId.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be empty"),
        ("https://td/x", "scheme"),
        ("td/x", "scheme"),
        ("spiffe:/td/x", "scheme"),
        ("spiffe:td/x", "scheme"),
        ("SPIFFE://td/x", "scheme"),
        (" spiffe://td/x", "scheme"),
        ("spiffe:///x", "trust domain is missing"),
        ("spiffe://", "trust domain is missing"),
        ("spiffe://@/x", "trust domain characters"),
        ("spiffe://:1/x", "trust domain characters"),
        ("spiffe://u@td/x", "trust domain characters"),
        ("spiffe://td:80/x", "trust domain characters"),
        ("spiffe://td:", "trust domain characters"),
        ("spiffe://Example.org/x", "trust domain characters"),
        ("spiffe://ex%61mple.org/x", "trust domain characters"),
        ("spiffe://[::1]/x", "trust domain characters"),
        ("spiffe://td?", "trust domain characters"),
        ("spiffe://td#", "trust domain characters"),
        ("spiffe://td\n", "trust domain characters"),
        ("spiffe://td/x?", "path segment characters"),
        ("spiffe://td/x?a=b", "path segment characters"),
        ("spiffe://td/x#", "path segment characters"),
        ("spiffe://td/x\n", "path segment characters"),
        ("spiffe://td/a%62", "path segment characters"),
        ("spiffe://td/%2e%2e", "path segment characters"),
        ("spiffe://td/", "trailing slash"),
        ("spiffe://td/x/", "trailing slash"),
        ("spiffe://td//x", "empty segments"),
        ("spiffe://td/a//b", "empty segments"),
        ("spiffe://td/.", "dot segments"),
        ("spiffe://td/a/../b", "dot segments"),
        ("spiffe://td/./b", "dot segments"),
    ],
)
@pytest.mark.spec(
    *("ID-2-a", "ID-2-b", "ID-2-c", "ID-2-d", "ID-2.1-a", "ID-2.1-b", "ID-2.1-c", "ID-2.1-e", "ID-2.2-a", "ID-2.2-b"),
    *("ID-2.2-c", "ID-2.2-d", "ID-2.4-a"),
)
def test_refuses_what_is_no_spiffe_id(text: str, reason: str) -> None:
    with pytest.raises(SpiffeIdError, match=reason):
        SpiffeId.parse(text)


@pytest.mark.spec("ID-2.1-d")
def test_a_trust_domain_has_lower_case_letters_digits_and_three_marks_only() -> None:
    accepted = {chr(code) for code in range(256) if _parses(f"spiffe://a{chr(code)}b/x")}
    # A slash ends the name.
    assert accepted == {*TD_CHARACTERS, "/"}


@pytest.mark.spec("ID-2.2-e")
def test_a_path_segment_has_letters_digits_and_three_marks_only() -> None:
    accepted = {chr(code) for code in range(256) if _parses(f"spiffe://td/a{chr(code)}b")}
    assert accepted == {*PATH_CHARACTERS, "/"}


@pytest.mark.spec("ID-2.3-a", "ID-2.3-b", "ID-2.3-d")
def test_an_id_has_2048_bytes_at_most_all_counted() -> None:
    longest = "spiffe://td/" + "a" * (MAX_ID_BYTES - len("spiffe://td/"))
    assert str(SpiffeId.parse(longest)) == longest
    with pytest.raises(SpiffeIdError, match="longer than 2048 bytes"):
        SpiffeId.parse(longest + "a")


@pytest.mark.spec("ID-2.3-c")
def test_a_trust_domain_has_255_bytes_at_most() -> None:
    assert TrustDomain("a" * 255).id.trust_domain.name == "a" * 255
    with pytest.raises(SpiffeIdError, match="longer than 255 bytes"):
        TrustDomain("a" * 256)


@pytest.mark.spec("ID-2.4-b")
def test_paths_differ_by_case() -> None:
    assert SpiffeId.parse("spiffe://td/A") != SpiffeId.parse("spiffe://td/a")


def test_a_path_begins_with_a_slash() -> None:
    with pytest.raises(SpiffeIdError, match="leading slash"):
        SpiffeId(TrustDomain("td"), "x")


@pytest.mark.parametrize("text", ["td", "spiffe://td", "spiffe://td/x"])
def test_a_trust_domain_is_named_by_itself_or_by_an_id_in_it(text: str) -> None:
    assert TrustDomain.parse(text) == TrustDomain("td")


@pytest.mark.parametrize("text", ["", "spiffe:/td", "http://td", "td/x"])
def test_refuses_what_names_no_trust_domain(text: str) -> None:
    with pytest.raises(SpiffeIdError):
        TrustDomain.parse(text)


def test_knows_its_members() -> None:
    spiffe_id = SpiffeId.parse("spiffe://td/x")
    assert spiffe_id.member_of(TrustDomain("td"))
    assert not spiffe_id.member_of(TrustDomain("td2"))


def test_the_trust_domains_own_id_has_no_path() -> None:
    assert str(TrustDomain("td").id) == "spiffe://td"


@given(st.text(st.sampled_from("aZ0.-_/%"), max_size=12))
def test_paths_are_right_exactly_when_each_segment_is(path: str) -> None:
    right = not path or (
        path.startswith("/")
        and all(
            segment and segment not in {".", ".."} and set(segment) <= set(PATH_CHARACTERS)
            for segment in path[1:].split("/")
        )
    )
    assert _parses(f"spiffe://td{path}" if path.startswith("/") or not path else f"spiffe://td/%{path}") == right


def _parses(text: str) -> bool:
    try:
        SpiffeId.parse(text)
    except SpiffeIdError:
        return False
    return True
