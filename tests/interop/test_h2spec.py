"""h2spec, the conformance tests for HTTP/2 servers (RFC 7540 and 7541), all of them, over TLS."""

import asyncio
import re
import subprocess

from assay.clock import SystemClock
from assay.rpc.server import Server
from assay.testing.authority import Authority
from assay.transport.tls import TlsIdentity

TESTS = 146


async def test_the_server_passes_all_of_h2spec(h2spec: str) -> None:
    authority = Authority(now=SystemClock().now())
    svid = authority.x509_svid("/server")
    assert svid.key
    identity = TlsIdentity(authority.trust_domain, SystemClock())
    identity.set(svid.chain, svid.key, {authority.trust_domain: [authority.root.der]})
    server = Server()
    port = await server.listen_tls("127.0.0.1", 0, identity)
    command = [h2spec, "--host", "127.0.0.1", "--port", str(port), "--tls", "--insecure", "--strict", "--timeout", "5"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    await server.close(0)
    found = re.search(r"(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed", done.stdout)
    assert found, done.stdout + done.stderr
    assert [int(one) for one in found.groups()] == [TESTS, TESTS, 0, 0], done.stdout[done.stdout.find("Failures") :]
