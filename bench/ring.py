"""Workloads for `bench.soak`: a process each, in a ring, where each asks the next one over mutual TLS by SPIFFE ID.

All are made by one fork each from a process that has loaded everything, which saves half a second and 20 MiB each.
"""

import asyncio
import gc
import json
import os
import socket
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from assay.authorize import one_of
from assay.errors import AssayError
from assay.svid.refusal import RefusedError
from assay.tls import client_context, server_context
from assay.verify import JwtVerifier
from assay.workloadapi import JwtSource, X509Source

FIRST_GROUP = 50_000
PAUSE = 1.0
PATIENCE = 20.0
TOKEN_EVERY = 3
REPORT_EVERY = 2.0
OK = b"ok\n"


@dataclass(frozen=True)
class Place:
    """One in the ring of `count`."""

    endpoint: str
    domain: str
    number: int
    count: int

    def id(self, step: int = 0) -> str:
        """Its own SPIFFE ID, or that of the one so many steps further."""
        return f"spiffe://{self.domain}/ring/{(self.number + step) % self.count}"


class Workload:
    """Answers the one before, asks the one after, and counts."""

    def __init__(self, place: Place, x509: X509Source, tokens: JwtSource) -> None:
        self._place = place
        self._x509, self._tokens = x509, tokens
        self._verifier = JwtVerifier(tokens, place.id(), one_of(place.id(-1)))
        self._context = client_context(x509, one_of(place.id(1)))
        self._counts = Counter[str]()
        self._faults: list[str] = []
        self._serial = ""

    async def serve(self, door: socket.socket) -> None:
        """Answer until cancelled."""
        context = server_context(self._x509, one_of(self._place.id(-1)))
        async with await asyncio.start_server(self._answer, sock=door, ssl=context) as server:
            await server.serve_forever()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            token = (await reader.readline()).strip().decode()
            if token:
                self._verifier.verify(token)
            writer.write(OK)
        except RefusedError as refusal:
            writer.write(f"{refusal}\n".encode())
        finally:
            writer.close()

    async def ask(self, port: int) -> None:
        """A request on a connection of its own about once a second, for ever."""
        # Not all at once.
        await asyncio.sleep(PAUSE * self._place.number / self._place.count)
        while True:
            self._counts["requests"] += 1
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._request(port)
            except (OSError, AssayError, RuntimeError) as fault:
                self._counts["failed"] += 1
                self._faults.append(f"{type(fault).__name__}: {fault}")
            await asyncio.sleep(PAUSE)

    async def _request(self, port: int) -> None:
        token = ""
        if self._counts["requests"] % TOKEN_EVERY == 0:
            token = (await self._tokens.fetch(self._place.id(1))).token
            self._counts["tokens"] += 1
        serial = self._x509.svid().serial
        if serial != self._serial:
            self._serial = serial
            self._counts["rotations"] += 1
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=self._context)
        try:
            writer.write(f"{token}\n".encode())
            answer = await reader.readline()
        finally:
            writer.close()
        if answer != OK:
            raise RuntimeError(answer.decode().strip() or "the peer hung up")

    async def report(self) -> None:
        """A line of JSON on standard output now and then, for ever."""
        while True:
            line = {"number": self._place.number, "pid": os.getpid(), **self._counts, "faults": self._faults}
            # One write, so that lines of different processes do not mix.
            os.write(1, json.dumps(line).encode() + b"\n")
            self._faults = []
            await asyncio.sleep(REPORT_EVERY)


async def run(place: Place, doors: Sequence[socket.socket]) -> None:
    port = doors[(place.number + 1) % place.count].getsockname()[1]
    door = doors[place.number].dup()
    for one in doors:
        one.close()
    async with (
        X509Source(place.endpoint, spiffe_id=place.id()) as x509,
        JwtSource(place.endpoint) as tokens,
        asyncio.TaskGroup() as group,
    ):
        workload = Workload(place, x509, tokens)
        for task in (workload.serve(door), workload.ask(port), workload.report()):
            group.create_task(task)


def main(endpoint: str, domain: str, count: int) -> None:
    doors = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    # Or each collection in a workload would touch all that was loaded, and make it its own page by page.
    gc.freeze()
    for number in range(count):
        if os.fork() == 0:
            if os.geteuid() == 0:
                os.setgid(FIRST_GROUP + number)
            asyncio.run(run(Place(endpoint, domain, number, count), doors))
    # Whoever wants the ring holds the other end. Without a reader of their reports the workloads end as well.
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
