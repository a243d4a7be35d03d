import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.cli.argv import spire_flags


@pytest.mark.parametrize(
    ("spire", "ours"),
    [
        ("-config", "--config"), ("-socketPath", "--socket-path"), ("-expandEnv", "--expand-env"),
        ("-spiffeID", "--spiffe-id"), ("-parentID", "--parent-id"), ("-entryID", "--entry-id"),
        ("-x509SVIDTTL", "--x509-svid-ttl"), ("-jwtSVIDTTL", "--jwt-svid-ttl"), ("-storeSVID", "--store-svid"),
        ("-disableX509SVIDPrefetch", "--disable-x509-svid-prefetch"), ("-jwtSVIDIncludeJTI", "--jwt-svid-include-jti"),
        ("-federatesWith", "--federates-with"), ("-matchFederatesWithOn", "--match-federates-with-on"),
        ("-trustBundle", "--trust-bundle"), ("-insecureBootstrap", "--insecure-bootstrap"),
        ("-disableSDSAPI", "--disable-sds-api"), ("-disableSDSAPI=true", "--disable-sds-api"),
        ("-disableWorkloadAPI", "--disable-workload-api"), ("-dns", "--dns"),
        ("-ttl", "--ttl"), ("-help", "--help"), ("-socketPath=/a=b", "--socket-path=/a=b"),
        ("-logLevel=", "--log-level="), ("--socketPath", "--socket-path"), ("--logLevel=A", "--log-level=A"),
    ],
)  # fmt: skip
def test_spires_flags_are_respelled(spire: str, ours: str) -> None:
    assert spire_flags([spire]) == [ours]


@pytest.mark.parametrize(
    "argument", ["-", "-h", "-o", "-5", "--socket-path", "--", "--banned", "--ttl=5", "x509", "-1h", "unix:uid:0", ""]
)
def test_everything_else_stays(argument: str) -> None:
    assert spire_flags([argument]) == [argument]


@pytest.mark.parametrize(
    ("spire", "ours"),
    [("-shallow=true", ["--shallow"]), ("-shallow=false", []), ("-expandEnv=1", ["--expand-env"]), ("-node=F", [])],
)
def test_switches_may_say_whether(spire: str, ours: list[str]) -> None:
    assert spire_flags([spire]) == ours


def test_nothing_after_two_dashes_is_a_flag() -> None:
    assert spire_flags(["-config", "x", "--", "-config"]) == ["--config", "x", "--", "-config"]


@given(st.lists(st.text()))
def test_respelling_twice_changes_nothing_more(arguments: list[str]) -> None:
    once = spire_flags(arguments)
    assert spire_flags(once) == once


@pytest.mark.parametrize(
    ("spire", "ours"),
    [
        (["-banned", "true", "x"], ["--banned", "x"]),
        (["-banned=false"], ["--not-banned"]),
        (["-canReattest", "false"], ["--cannot-reattest"]),
        (["-canReattest=true"], ["--can-reattest"]),
        (["-banned", "all", "x"], ["x"]),
        (["-banned"], ["--banned"]),
        (["--banned", "x"], ["--banned", "x"]),
    ],
)
def test_spires_flags_with_three_values_are_our_pairs(spire: list[str], ours: list[str]) -> None:
    assert spire_flags(spire) == ours
