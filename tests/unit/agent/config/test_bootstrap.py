from pathlib import Path

import pytest

from assay.config.fault import ConfigError
from assay.config.source import parse
from assay_agent.config import AgentConfig
from assay_agent.config.load import load

FILE = 'agent {\n trust_domain = "a"\n server_address = "h"\n server_port = 1\n%s\n}\n'
PATH = 'trust_bundle_path = "b"\n'
SOCKET = 'trust_bundle_unix_socket = "/s"\n'
API = 'trust_bundle_spiffe_workload_api = "unix:///s"\n'
INSECURE = "insecure_bootstrap = true\n"
NOT_AN_ADDRESS = "trust_bundle_spiffe_workload_api is not a valid SPIFFE Workload API endpoint address: "


def config(text: str) -> AgentConfig:
    return load(parse(FILE % text, "f")).config


def url(where: str) -> str:
    return f'trust_bundle_url = "{where}"\n'


@pytest.mark.parametrize(
    ("text", "key", "two"),
    [
        (url("https://h") + INSECURE, "insecure_bootstrap", "insecure_bootstrap or trust_bundle_url"),
        (API + INSECURE, "insecure_bootstrap", "insecure_bootstrap or trust_bundle_spiffe_workload_api"),
        (url("https://h") + PATH, "trust_bundle_path", "trust_bundle_url or trust_bundle_path"),
        (
            API + url("https://h"),
            "trust_bundle_spiffe_workload_api",
            "trust_bundle_url or trust_bundle_spiffe_workload_api",
        ),
        (API + PATH, "trust_bundle_spiffe_workload_api", "trust_bundle_path or trust_bundle_spiffe_workload_api"),
    ],
)
def test_there_is_one_source_of_the_bundle(text: str, key: str, two: str) -> None:
    assert fault(text) == f"{key}: only one of {two} can be specified, not both"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (url("http://h/b"), "trust bundle URL must start with https://"),
        (url("https://"), "unable to parse trust bundle URL: it names no host"),
        (url("https://h:x/"), "unable to parse trust bundle URL: Port could not be"),
        (
            url("https://h/b") + SOCKET,
            "trust bundle URL must start with http:// when used with trust bundle unix socket",
        ),
        (url("http://h/b?spire-x=1") + SOCKET, "trust_bundle_url query params can not start with spire-"),
        (url("http://h/b?spiffe-x") + SOCKET, "trust_bundle_url query params can not start with spiffe-"),
    ],
)
def test_urls_that_could_not_be_trusted_are_refused(text: str, reason: str) -> None:
    assert fault(text).startswith(f"trust_bundle_url: {reason}")


@pytest.mark.parametrize(
    ("text", "fault_of_it"),
    [
        (
            API + SOCKET,
            "trust_bundle_unix_socket: trust_bundle_unix_socket can not be used with trust_bundle_spiffe_workload_api",
        ),
        (
            PATH + SOCKET,
            "trust_bundle_unix_socket: if trust_bundle_unix_socket is specified, so must be trust_bundle_url",
        ),
        (
            'trust_bundle_spiffe_workload_api = "/s"',
            f"trust_bundle_spiffe_workload_api: {NOT_AN_ADDRESS}workload endpoint socket",
        ),
        (
            f'{INSECURE}rebootstrap_mode = "auto"',
            "rebootstrap_mode: insecure_bootstrap option can not be used with rebootstrapping",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, fault_of_it: str) -> None:
    assert fault(text).startswith(fault_of_it)


def test_each_source_arrives() -> None:
    found = config(url("http://h/b?x=1") + SOCKET)
    assert (found.trust_bundle_url, found.trust_bundle_unix_socket) == ("http://h/b?x=1", Path("/s"))
    found = config(API)
    assert (found.trust_bundle_spiffe_workload_api, found.trust_bundle_path) == ("unix:///s", None)


def test_rebootstrapping_is_off_unless_asked_for() -> None:
    found = config(f'{PATH}rebootstrap_mode = ""')
    assert (found.rebootstrap_mode, found.rebootstrap_delay) == ("never", 600.0)
    found = config(f'{PATH}rebootstrap_mode = "always"\nrebootstrap_delay = "1.5s"')
    assert (found.rebootstrap_mode, found.rebootstrap_delay) == ("always", 1.5)


def fault(text: str) -> str:
    """The one fault of that configuration, from its key on."""
    with pytest.raises(ConfigError) as refused:
        config(text)
    (found,) = refused.value.faults
    return str(found).partition("agent.")[2]
