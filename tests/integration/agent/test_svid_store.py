"""SVIDs in files, with real daemons."""

import signal
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from assay.crypto.keys import same_key
from assay.testing.deployment import Deployment
from assay.testing.workload import svids

PLUGIN = """
    SVIDStore "disk" {{
        plugin_data {{ directory = "{folder}" }}
    }}
}}
"""


@pytest.fixture
def folder(deployment: Deployment) -> Path:
    """The store's folder; the agent runs again with it configured."""
    folder = deployment.dir / "svids"
    config = deployment.dir / "agent.conf"
    text = config.read_text().rstrip()
    config.write_text(text.removesuffix("}") + PLUGIN.format(folder=folder))
    deployment.stop("agent")
    deployment.start_agent()
    return folder


def store(deployment: Deployment, path: str, *selectors: str) -> str:
    named = [part for one in selectors for part in ("--selector", one)]
    answer = deployment.cli(
        "entry", "create", "--spiffe-id", f"spiffe://example.test{path}", "--parent-id", deployment.agent_id(),
        "--store-svid", *named,
    )  # fmt: skip
    return str(answer["results"][0]["entry"]["id"])


def delete(deployment: Deployment, entry_id: str) -> None:
    deployment.cli("entry", "delete", "--entry-id", entry_id)


def spiffe_id_in(folder: Path) -> str:
    """Whose SVID is there, whose key fits; empty if there is none."""
    if not (folder / "svid.pem").exists():
        return ""
    at = folder.resolve()
    leaf = x509.load_pem_x509_certificates((at / "svid.pem").read_bytes())[0]
    key = load_pem_private_key((at / "svid.key").read_bytes(), None)
    assert same_key(leaf.public_key(), key.public_key())  # type: ignore[arg-type]
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return str(names.get_values_for_type(x509.UniformResourceIdentifier)[0])


def test_an_svid_is_stored_served_to_nobody_and_goes_with_its_entry(deployment: Deployment, folder: Path) -> None:
    entry_id = store(deployment, "/web", "disk:name:web")
    deployment.until("agent", lambda: spiffe_id_in(folder / "web") == "spiffe://example.test/web")
    assert (folder / "web" / "bundle.pem").read_bytes() == (deployment.dir / "bundle.pem").read_bytes()
    assert not svids(deployment.api)
    delete(deployment, entry_id)
    deployment.until("agent", lambda: not (folder / "web").exists())
    assert list(folder.iterdir()) == []


def test_what_goes_while_the_agent_is_down_is_removed_when_it_is_back(deployment: Deployment, folder: Path) -> None:
    gone, stays = (store(deployment, f"/{name}", f"disk:name:{name}") for name in ("gone", "stays"))
    deployment.until("agent", lambda: all(spiffe_id_in(folder / name) for name in ("gone", "stays")))
    before = (folder / "stays").resolve()
    deployment.stop("agent", signal.SIGKILL)
    delete(deployment, gone)
    deployment.start_agent()
    deployment.until("agent", lambda: not (folder / "gone").exists() and (folder / "stays").resolve() != before)
    assert spiffe_id_in(folder / "stays") == "spiffe://example.test/stays"
    assert stays in (deployment.dir / "agent" / "svid-stores.json").read_text()
    assert gone not in (deployment.dir / "agent" / "svid-stores.json").read_text()


def test_a_target_that_makes_no_sense_is_said_and_the_others_are_stored(deployment: Deployment, folder: Path) -> None:
    store(deployment, "/bad", "disk:name:../up")
    store(deployment, "/good", "disk:name:good")
    deployment.until("agent", lambda: bool(spiffe_id_in(folder / "good")))
    assert "is no name for a folder" in deployment.log("agent")
    assert sorted(path.name for path in folder.iterdir() if path.is_symlink()) == ["good"]
