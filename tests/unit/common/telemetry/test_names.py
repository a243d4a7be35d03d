"""SPIRE's spelling of RPCs and statuses."""

import pytest

from assay.telemetry.names import method_name, rpc_key, service_name, status_name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/spire.api.server.entry.v1.Entry/BatchCreateEntry", "rpc.entry.v1.entry.batch_create_entry"),
        ("/spire.api.server.svid.v1.SVID/MintX509SVID", "rpc.svid.v1.svid.mint_x509svid"),
        ("/spire.api.server.svid.v1.SVID/MintJWTSVID", "rpc.svid.v1.svid.mint_jwtsvid"),
        ("/spire.api.server.svid.v1.SVID/NewDownstreamX509CA", "rpc.svid.v1.svid.new_downstream_x509ca"),
        (
            "/spire.api.server.localauthority.v1.LocalAuthority/GetJWTAuthorityState",
            "rpc.localauthority.v1.local_authority.get_jwt_authority_state",
        ),
        (
            "/spire.api.server.trustdomain.v1.TrustDomain/RefreshBundle",
            "rpc.trustdomain.v1.trust_domain.refresh_bundle",
        ),
        ("/spire.api.server.logger.v1.Logger/GetLogger", "rpc.logger.get_logger"),
        ("/grpc.health.v1.Health/Check", "rpc.health.check"),
        ("/assay.sync.v1.Sync/Watch", "rpc.assay.sync.v1.sync.watch"),
    ],
)
def test_rpcs(path: str, name: str) -> None:
    assert ".".join(rpc_key(path)) == name


def test_services_and_methods_for_the_log() -> None:
    assert service_name("/spire.api.server.entry.v1.Entry/GetEntry") == "entry.v1.Entry"
    assert service_name("/grpc.health.v1.Health/Check") == "Health"
    assert method_name("/spire.api.server.entry.v1.Entry/GetEntry") == "GetEntry"


@pytest.mark.parametrize(
    ("name", "go"),
    [("OK", "OK"), ("CANCELLED", "Canceled"), ("INVALID_ARGUMENT", "InvalidArgument"), ("NOT_FOUND", "NotFound")],
)
def test_statuses(name: str, go: str) -> None:
    assert status_name(name) == go
