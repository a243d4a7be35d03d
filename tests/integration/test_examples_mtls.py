"""examples/mtls as it is: two programs that renew their certificates while they talk, and a third that may not."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from assay.testing.deployment import TRUST_DOMAIN, Deployment, free_port

if TYPE_CHECKING:
    from tests.conftest import Deployments
else:
    Deployments = object

HERE = Path(__file__).parents[2] / "examples" / "mtls"
SERVER, CLIENT, STRANGER = (f"spiffe://{TRUST_DOMAIN}/{name}" for name in ("server", "client", "stranger"))
# NotBefore lies ten seconds back, and half of those 25 is over soon: a new certificate about every 2.5 seconds.
SHORT = 'default_x509_svid_ttl = "15s"'
ROTATIONS = 3
OUTCOME = re.compile(
    rf"{SERVER} with certificate (\d+) says: hello yourself, {CLIENT} with certificate (\d+)", re.ASCII
)


@contextmanager
def program(house: Deployment, name: str, *arguments: object) -> Iterator[Iterator[str]]:
    """The lines that it prints, as they come."""
    command = [sys.executable, str(HERE / name), *map(str, arguments)]
    environment = {"SPIFFE_ENDPOINT_SOCKET": house.endpoint}
    with (house.dir / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    with process:
        try:
            assert process.stdout is not None
            yield iter(process.stdout)
        finally:
            process.kill()


def test_they_live_through_rotation_and_talk_to_nobody_else(deployments: Deployments) -> None:
    house = deployments(server=SHORT).start()
    for path in ("/server", "/client", "/stranger"):
        house.register(path)
    port = free_port()
    with program(house, "server.py", SERVER, CLIENT, port) as said:
        assert next(said) == f"{SERVER} answers {CLIENT} on port {port}\n"
        with program(house, "client.py", CLIENT, SERVER, port) as outcomes:
            servers, clients = set[str](), set[str]()
            while min(len(servers), len(clients)) < ROTATIONS:
                servers_serial, clients_serial = asked(next(outcomes))
                servers.add(servers_serial)
                clients.add(clients_serial)
            with program(house, "client.py", STRANGER, SERVER, port) as refusals:
                assert all(line.startswith("failed: ") for line in islice(refusals, 3))
            refusal = f'Peer refused: SPIFFE ID "{STRANGER}" is not authorized; wanted: one of {CLIENT}'
            assert refusal in house.log("server.py")
            with program(house, "client.py", CLIENT, STRANGER, port) as refusals:
                refusal = f'peer refused: SPIFFE ID "{SERVER}" is not authorized; wanted: one of {STRANGER}'
                assert next(refusals).startswith(f"failed: {refusal}")
            # Those who were sent away meanwhile were in nobody's way.
            for line in islice(outcomes, 5):
                asked(line)


def asked(line: str) -> tuple[str, str]:
    """Both sides' serial numbers."""
    found = OUTCOME.fullmatch(line.strip())
    assert found, line
    return found[1], found[2]
