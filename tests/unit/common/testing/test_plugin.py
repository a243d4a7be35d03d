"""The plugin, in runs of pytest of its own: what its fixtures give, and that nobody else notices it."""

import sys
from importlib.metadata import entry_points

import pytest

pytest_plugins = ["pytester"]

STRICT = ("-W", "error", "-p", "no:cacheprovider")
PLAIN = (*STRICT, "-p", "no:asyncio")


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Without the settings of this run."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("SPIFFE_ENDPOINT_SOCKET", raising=False)
    return pytester


def test_fixtures_are_there_without_asking_and_end_with_the_test(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        import os
        from spiffe import WorkloadApiClient

        seen = []

        def test_one(spiffe_workload_api, spiffe_trust_domain):
            assert spiffe_workload_api.trust_domain is spiffe_trust_domain
            assert os.environ["SPIFFE_ENDPOINT_SOCKET"] == spiffe_workload_api.address
            spiffe_workload_api.serve("/api")
            with WorkloadApiClient() as client:
                assert str(client.fetch_x509_svid().spiffe_id) == "spiffe://example.org/api"
            seen.append((spiffe_workload_api.path, spiffe_trust_domain))

        def test_two(spiffe_trust_domain):
            path, domain = seen.pop()
            assert not path.exists()
            assert "SPIFFE_ENDPOINT_SOCKET" not in os.environ
            assert spiffe_trust_domain is not domain
        """
    )
    run.runpytest_subprocess(*PLAIN).assert_outcomes(passed=2)


def test_the_trust_domain_can_be_overridden(run: pytest.Pytester) -> None:
    run.makeconftest(
        """
        import pytest
        from assay.testing import InMemoryTrustDomain

        @pytest.fixture
        def spiffe_trust_domain():
            return InMemoryTrustDomain("prod.example", x509_ttl=60)
        """
    )
    run.makepyfile(
        """
        def test_it(spiffe_workload_api):
            assert str(spiffe_workload_api.serve("/api")) == "spiffe://prod.example/api"
        """
    )
    run.runpytest_subprocess(*PLAIN).assert_outcomes(passed=1)


def test_async_tests_may_use_the_fixtures(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        from assay.workloadapi import X509Source

        async def test_it(spiffe_workload_api):
            spiffe_workload_api.serve("/api")
            async with X509Source() as source:
                first, version = source.svid(), source.version
                spiffe_workload_api.rotate()
                await source.changed(version)
                assert source.svid().serial != first.serial
        """
    )
    options = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
    run.runpytest_subprocess(*STRICT, *options).assert_outcomes(passed=1)


def test_who_does_not_use_it_pays_nothing(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        import sys

        def test_it(pytestconfig):
            assert pytestconfig.pluginmanager.hasplugin("assay")
            ours = {name for name in sys.modules if name.partition(".")[0] in {"assay", "assay_proto"}}
            assert ours == {"assay", "assay.testing", "assay.testing.plugin"}
            assert not {"grpc", "cryptography", "google.protobuf", "structlog"} & set(sys.modules)
        """
    )
    run.runpytest_subprocess(*PLAIN).assert_outcomes(passed=1)


def test_pytest_finds_it_by_its_entry_point() -> None:
    (found,) = (one for one in entry_points(group="pytest11") if one.name == "assay")
    assert found.value == "assay.testing.plugin"


def test_the_kit_needs_no_pytest(run: pytest.Pytester) -> None:
    script = "import sys; sys.modules['pytest'] = None; from assay.testing import *; WorkloadApiServer(); print('made')"
    done = run.run(sys.executable, "-c", script)
    assert done.outlines == ["made"]
