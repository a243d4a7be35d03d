"""Inputs that are long rather than wrong: read in time that grows with their length, or refused by a limit.

What took minutes takes less than a second; the suite's own limit for a test is what a relapse would run into.
"""

import json

import pytest

from assay.bundle import jwks
from assay.bundle.strictjson import parse_object
from assay.config import source
from assay.config.document import MAX_DEPTH
from assay.config.expand import expand_env
from assay.config.fault import ConfigError
from assay.config.source import MAX_BYTES
from assay.errors import InvalidArgumentError
from assay.svid import jwt
from assay.svid.refusal import Reason, SvidRefusedError
from assay.testing.authority import Authority
from assay.testing.clock import START

HOME = Authority()
DOMAIN = HOME.trust_domain
# Enough for what grows with the square to take minutes.
LONG = 256 * 1024


def test_a_bundle_of_too_many_keys_is_refused() -> None:
    keys = ",".join(["{}"] * (jwks.MAX_KEYS + 1))
    for read in (jwks.parse, jwks.parse_jwt):
        with pytest.raises(InvalidArgumentError, match="4097 keys; at most 4096"):
            read(DOMAIN, f'{{"keys": [{keys}]}}'.encode())


def test_a_bundle_of_as_many_keys_as_may_be_is_read() -> None:
    document = json.loads(jwks.emit(HOME.bundle))
    document["keys"] += [{"use": "x"}] * (jwks.MAX_KEYS - len(document["keys"]))
    assert jwks.parse(DOMAIN, json.dumps(document).encode()) == HOME.bundle


def test_a_bundle_that_is_too_long_is_refused_unread() -> None:
    for read in (jwks.parse, jwks.parse_jwt):
        with pytest.raises(InvalidArgumentError, match="at most 4194304 are read"):
            read(DOMAIN, b"[" * (jwks.MAX_BYTES + 1))
        with pytest.raises(InvalidArgumentError, match="not JSON"):
            read(DOMAIN, b"[" * jwks.MAX_BYTES)


def test_what_a_bundle_says_of_itself_is_logged_in_short(caplog: pytest.LogCaptureFixture) -> None:
    long = "x" * 100_000
    keys = [{"use": long}, {"use": "jwt-svid", "kid": "k", "kty": long}, {"use": "x509-svid", "kty": [long]}]
    jwks.parse(DOMAIN, json.dumps({"keys": keys}).encode())
    assert caplog.messages == ["Ignoring key of bundle"] * 3
    assert len(str([vars(record) for record in caplog.records])) < 6000


def test_the_member_that_is_there_twice_is_found_at_once() -> None:
    members = ",".join(f'"{number}":0' for number in range(200_000))
    with pytest.raises(InvalidArgumentError, match='has member "x" twice'):
        parse_object(f'{{{members},"x":1,"x":2}}', "text")


@pytest.mark.parametrize("token", ["." * 1_000_000, "A" * 4_000_000, f"{'A' * 4_000_000}.e30.", "e30." + "A" * 999_999])
def test_a_long_token_is_refused_like_a_short_one(token: str) -> None:
    with pytest.raises(SvidRefusedError) as caught:
        jwt.verify(token, {DOMAIN: HOME.bundle}, "audience", START)
    assert caught.value.reason in {Reason.MALFORMED, Reason.UNSUPPORTED_ALGORITHM}
    assert len(str(caught.value)) < 200


def fill(text: str) -> str:
    return text * (LONG // len(text))


@pytest.mark.parametrize("name", ["x.conf", "x.json", "x.toml"])
def test_a_configuration_that_is_too_long_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="is longer than 1024 KiB"):
        source.parse("#" * (MAX_BYTES + 1), name)


def numbered(form: str) -> str:
    """As many lines of that form as fit, each with its own number."""
    return "\n".join(form.format(number) for number in range(LONG // (len(form) + 5)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.toml", numbered("k{}=1")),
        ("x.toml", numbered("[t{}]")),
        ("x.json", "{" + numbered('"k{}":1,') + '"x":1}'),
        ("x.conf", numbered("k{}=1")),
        ("x.conf", numbered("a{{ k{}=1 }}")),
        ("x.conf", fill("a{b=1}\n")),
    ],
    ids=lambda value: value[:16].replace("\n", " "),
)
def test_a_long_configuration_is_read(name: str, text: str) -> None:
    assert source.parse(text, name).data


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("x.toml", fill("a.") + "a=1", "nested too deeply"),
        ("x.toml", fill('"a".') + "a=1", "nested too deeply"),
        ("x.toml", f"[{fill('a . ')}a]", "nested too deeply"),
        ("x.toml", f"x={{{fill('a.')}a=1}}", "nested too deeply"),
        ("x.toml", "a=" + fill("["), "nested too deeply"),
        ("x.json", fill('{"a":'), "nested too deeply|not valid JSON"),
        ("x.conf", fill("a ") + "{}", "nested too deeply"),
        ("x.conf", fill("a{"), "nested too deeply"),
        ("x.conf", "a=" + fill("["), "nested too deeply"),
        ("x.conf", 'a="' + fill("${"), "string without its closing quote"),
        ("x.conf", fill("<<A\n"), "heredoc without its end"),
    ],
    ids=lambda value: value[:8].replace("\n", " "),
)
def test_a_long_configuration_of_nothing_is_refused(name: str, text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        source.parse(text, name)


@pytest.mark.parametrize(
    ("name", "before", "after"), [("x.toml", "x=" + "[" * 62, "]" * 62), ("x.json", '{"x":' + "[" * 62, "]" * 62 + "}")]
)
def test_depth_has_a_limit(name: str, before: str, after: str) -> None:
    assert source.parse(f"{before}1{after}", name).data
    with pytest.raises(ConfigError, match=f"more than {MAX_DEPTH} levels"):
        source.parse(f"{before}[[1]]{after}", name)


def test_references_without_end_are_left_as_they_are() -> None:
    text = fill("${a")
    assert expand_env(text, {"a": "x"}) == text
