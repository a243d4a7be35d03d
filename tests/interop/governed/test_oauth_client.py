# ruff: noqa: ANN401 - fixtures of conftest.py cannot be named here
"""oauth4webapi, an OAuth client of others in Node, at a real token endpoint."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
CRM = "https://crm/mcp"
DOMAIN = "spiffe://example.test/principal"


@pytest.fixture(scope="session")
def client(npm_installed: Any) -> Path:
    """The program in oauth/, with its library."""
    return Path(npm_installed(HERE / "oauth")) / "main.mjs"


def said(
    node: str, client: Path, method: str, house: Any, name: str, folder: Path, tool: str = ""
) -> list[dict[str, Any]]:
    """What it prints as that principal, whose task it is; `folder` gets its credentials."""
    me = f"{DOMAIN}/{name}"
    house.assay(f"x509 mint --spiffe-id {me} --write {folder}")
    house.assay(f"jwt mint --spiffe-id {me} --audience {house.issuer} --write {folder / 'svid.token'}")
    opened = house.assay(
        f'task open --principal {name} --goal "answer" --allow {CRM}=crm.read --lasting 10m --output json'
    )
    found = json.loads(opened)
    command = [node, str(client), method, house.issuer, me, CRM, found["id"], str(folder), tool]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def lived(answer: dict[str, Any], name: str, kind: str) -> None:
    """A token was had, exchanged, introspected, revoked."""
    assert (answer["type"], answer["lives"]) == (kind, 60)
    assert answer["active"]["active"] is True
    assert answer["active"]["client_id"] == f"{DOMAIN}/{name}"
    assert answer["active"]["authorization_details"][0]["actions"] == ["crm.read"]
    assert answer["after"] == {"active": False}


def test_by_certificate_with_and_without_dpop(node_program: str, client: Path, house: Any, tmp_path: Path) -> None:
    plain, proven = said(node_program, client, "certificate", house, "bot", tmp_path)
    lived(plain, "bot", "bearer")
    assert list(plain["cnf"]) == ["x5t#S256"]
    lived(proven, "bot", "dpop")
    assert list(proven["cnf"]) == ["jkt"]


def test_by_jwt_svid_with_dpop_alone(node_program: str, client: Path, house: Any, tmp_path: Path) -> None:
    plain, proven = said(node_program, client, "assertion", house, "billing", tmp_path)
    assert plain == {"refused": "invalid_request"}
    lived(proven, "billing", "dpop")


def test_its_tokens_and_proofs_are_good_at_the_tools(
    opened: Any, node_program: str, client: Path, house: Any, tmp_path: Path
) -> None:
    with opened(house.issuer, house.folder) as tool:
        for answer in said(node_program, client, "certificate", house, "bot", tmp_path, tool.url):
            assert answer["called"]["status"] == 200, answer["called"]
            assert answer["called"]["said"]["instance"] == f"{DOMAIN}/bot"
