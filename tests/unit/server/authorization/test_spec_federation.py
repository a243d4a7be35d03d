"""Who may touch what federation rests on."""

import pytest

from assay_server.authorization.table import RPCS, Who


@pytest.mark.spec("FED-7.1-a")
def test_only_operators_change_foreign_bundles_and_relationships() -> None:
    changing = {
        name: who
        for name, who in RPCS.items()
        if name.endswith(("FederatedBundle", "FederationRelationship", "/RefreshBundle")) and "/Get" not in name
    }
    assert sorted(name.rpartition("/")[2] for name in changing) == [
        "BatchCreateFederatedBundle", "BatchCreateFederationRelationship",
        "BatchDeleteFederatedBundle", "BatchDeleteFederationRelationship",
        "BatchSetFederatedBundle",
        "BatchUpdateFederatedBundle", "BatchUpdateFederationRelationship",
        "RefreshBundle",
    ]  # fmt: skip
    assert set(changing.values()) == {Who.LOCAL | Who.ADMIN}
