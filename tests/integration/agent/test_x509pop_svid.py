"""A node that attests by the X.509-SVID that another agent gives it: x509pop in mode "spiffe", on both ends."""

from pathlib import Path
from typing import TYPE_CHECKING

from assay.testing.deployment import TRUST_DOMAIN, Deployment
from assay.testing.operator import serving
from assay.testing.x509pop import JOIN_TOKEN_BLOCK

if TYPE_CHECKING:
    from tests.conftest import Deployments
else:
    Deployments = object


def write_second(house: Deployment) -> Path:
    """The configuration of one more agent, whose process is a workload of the first; its socket is api2.sock."""
    text = (house.dir / "agent.conf").read_text()
    for name in ("api.sock", "agent"):
        text = text.replace(f'"{house.dir}/{name}"', f'"{house.dir}/second-{name}"')
    own = f'NodeAttestor "x509pop" {{\n        plugin_data {{ spiffe_endpoint_socket = "unix://{house.api}" }}'
    conf = house.dir / "second.conf"
    conf.write_text(text.replace(JOIN_TOKEN_BLOCK, own))
    return conf


def test_an_svid_of_another_agent_admits_a_node(deployments: Deployments) -> None:
    house = deployments()
    server = house.dir / "server.conf"
    block = 'NodeAttestor "x509pop" { plugin_data { mode = "spiffe" } }\n    NodeAttestor "join_token"'
    server.write_text(server.read_text().replace('NodeAttestor "join_token"', block))
    house.start()
    entry = house.register("/elsewhere/two")
    run = ("agent", "run", "--config", str(write_second(house)))
    house.spawn("second", *run)
    assert house.processes["second"].wait(60) != 0
    assert "x509 cert doesnt match SVID prefix" in house.log("second")
    house.operator.delete(entry)
    house.register("/spire-exchange/rack/two")
    house.spawn("second", *run)
    house.until("second", lambda: serving(house.dir / "second-api.sock"))
    assert f"spiffe://{TRUST_DOMAIN}/spire/agent/x509pop/rack/two" in map(str, house.operator.agents())
    (node,) = house.cli("node", "list", "--attestation-type", "x509pop")["agents"]
    assert node["can_reattest"]
