"""docs/wit-svid.md shows what works, and says after which revision it was built."""

import re
from pathlib import Path
from typing import Any

import pytest

from assay.testing import WorkloadApiServer

PAGE = Path(__file__).parents[4] / "docs" / "wit-svid.md"


@pytest.mark.spec("WIT-4-c", "WIT-5-a")
def test_what_is_shown_works(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 2
    names: dict[str, Any] = {}
    with WorkloadApiServer() as server:
        server.serve("/web")
        monkeypatch.setenv("SPIFFE_ENDPOINT_SOCKET", server.address)
        for block in blocks:
            exec(block, names)  # noqa: S102 - our own page
    assert str(names["caller"]) == "spiffe://example.org/web"


@pytest.mark.spec("STAB-2.3-a")
def test_the_revisions_are_on_record() -> None:
    text = PAGE.read_text()
    assert "as of July 2026" in text
    assert "draft-ietf-wimse-workload-creds-02" in text
    assert "draft-ietf-wimse-wpt-02" in text
