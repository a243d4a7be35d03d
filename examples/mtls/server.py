"""Answers one client and nobody else: python server.py SERVER_ID CLIENT_ID PORT."""

import asyncio
import logging
import sys

from assay.authorize import one_of
from assay.svid import X509Svid
from assay.tls import peer_chain, peer_id, server_context
from assay.workloadapi import X509Source


async def serve(own: str, client: str, port: int) -> None:
    async with X509Source(spiffe_id=own) as source:
        context = server_context(source, one_of(client))
        server = await asyncio.start_server(answer, "127.0.0.1", port, ssl=context)
        print(f"{own} answers {client} on port {port}", flush=True)
        async with server:
            await server.serve_forever()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Only who passed the handshake gets here."""
    greeting = await reader.readline()
    serial = X509Svid.parse(peer_chain(writer)).serial
    writer.write(greeting.strip() + f" yourself, {peer_id(writer)} with certificate {serial}\n".encode())
    await writer.drain()
    writer.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)  # who is refused, and why
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3])))
