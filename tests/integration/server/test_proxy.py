"""The server as a process behind a proxy."""

import re
import socket
import ssl
from typing import TYPE_CHECKING

from assay.testing.echo import raw_call

if TYPE_CHECKING:
    from tests.conftest import Deployments
else:
    Deployments = object

HEADER = b"PROXY TCP6 2001:db8::7 2001:db8::1 4000 8081\r\n"
LIST = "/spire.api.server.agent.v1.Agent/ListAgents"


def test_the_log_names_the_caller_behind_a_proxy_that_is_trusted(deployments: Deployments) -> None:
    house = deployments(server='proxy_protocol_trusted_cidrs = ["127.0.0.1/32"]')
    house.start_server()
    assert 'msg="PROXY protocol enabled on TCP listener"' in house.log("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", house.port), timeout=30) as plain:
        plain.sendall(HEADER)
        with context.wrap_socket(plain) as connection:
            connection.sendall(raw_call(LIST, b""))
            data = b""
            while b"grpc-status" not in data and (more := connection.recv(4096)):
                data += more
    (refused,) = [line for line in house.log("server").splitlines() if "Request refused" in line]
    assert re.search(r'caller_addr="?\[2001:db8::7\]:4000"?( |$)', refused)
