"""Refusals in OAuth's words: what will not be otherwise in a moment is not said to be so."""

import pytest

from assay.errors import AssayError, InvalidArgumentError, UnavailableError
from assay_server.governance.budget import BudgetSpentError
from assay_server.governance.refusal import AuthorityExceededError, TaskRefusedError
from assay_server.governance.task_state import InactiveTaskError
from assay_server.oauth.endpoint import refused


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BudgetSpentError("tsk_1", "calls", 3, "crm.read"), "invalid_grant"),
        (InactiveTaskError("over"), "invalid_grant"),
        (TaskRefusedError("no such task"), "invalid_grant"),
        (AuthorityExceededError("more"), "invalid_target"),
        (InvalidArgumentError("wrong"), "invalid_request"),
        (UnavailableError("no key"), "temporarily_unavailable"),
    ],
)
def test_each_refusal_has_its_code(error: AssayError, code: str) -> None:
    assert refused(error, detailed=False).code == code
