"""What calls that register governed identities say for the trail."""

from typing import Any

import pytest

from assay_proto.governance.v1 import registration_pb2 as pb
from assay_server.api.audit.fields import ABOUT

_API = "/assay.governance.v1."


@pytest.mark.parametrize(
    ("method", "request_", "response", "fields"),
    [
        ("Owners/Leave", pb.OwnerName(name="team:a"), None, {"name": "team:a"}),
        ("Principals/Register", pb.Principal(name="bot", purpose="secret"), None, {"name": "bot"}),
        ("Principals/Suspend", pb.ChangeRequest(name="bot", reason="odd"), None, {"name": "bot", "reason": "odd"}),
        ("Principals/Resume", pb.ChangeRequest(name="bot"), None, {"name": "bot"}),
        (
            "Principals/Update",
            pb.UpdateRequest(principal=pb.Principal(name="bot"), fields=["owner", "model"]),
            None,
            {"name": "bot", "fields": "owner,model"},
        ),
        ("Principals/Bind", pb.BindRequest(principal="bot"), None, {"principal": "bot"}),
        (
            "Principals/Bind",
            pb.BindRequest(principal="bot"),
            pb.Binding(entry_id="e"),
            {"principal": "bot", "entry_id": "e"},
        ),
        (
            "Principals/Unbind",
            pb.UnbindRequest(principal="bot", entry_id="e"),
            None,
            {"principal": "bot", "entry_id": "e"},
        ),
        ("Catalogue/AddResource", pb.Resource(uri="https://crm"), None, {"name": "https://crm"}),
        ("Catalogue/RemoveTool", pb.Named(name="crm.read"), None, {"name": "crm.read"}),
        (
            "Catalogue/UpdateResource",
            pb.UpdateResourceRequest(resource=pb.Resource(uri="https://crm"), fields=["tenant"]),
            None,
            {"name": "https://crm", "fields": "tenant"},
        ),
        (
            "Catalogue/UpdateGrant",
            pb.UpdateGrantRequest(grant=pb.Grant(name="root"), fields=["holder"]),
            None,
            {"name": "root", "fields": "holder"},
        ),
    ],
)
def test_whom_it_is_about(method: str, request_: Any, response: Any, fields: dict[str, str]) -> None:  # noqa: ANN401 - messages
    assert ABOUT[f"{_API}{method}"](request_, response) == fields
