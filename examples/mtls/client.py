"""Asks one server again and again: python client.py CLIENT_ID SERVER_ID PORT."""

import socket
import ssl
import sys
import time

from assay.authorize import one_of
from assay.errors import AssayError
from assay.svid import X509Svid
from assay.tls import client_context, peer_chain, peer_id
from assay.workloadapi.blocking import X509Source

PAUSE = 0.2


def main(own: str, server: str, port: int) -> None:
    with X509Source(spiffe_id=own) as source:
        context = client_context(source, one_of(server))
        while True:
            try:
                outcome = ask(context, port)
            except (OSError, AssayError) as error:
                outcome = f"failed: {error}"
            print(outcome, flush=True)
            time.sleep(PAUSE)


def ask(context: ssl.SSLContext, port: int) -> str:
    """Each request makes a connection of its own, so each has the newest certificates on both sides."""
    with (
        socket.create_connection(("127.0.0.1", port)) as connection,
        context.wrap_socket(connection) as tls,
        tls.makefile("rw") as stream,
    ):
        stream.write("hello\n")
        stream.flush()
        answer = stream.readline().strip()
        if not answer:
            raise ConnectionError("the server hung up")
        return f"{peer_id(tls)} with certificate {X509Svid.parse(peer_chain(tls)).serial} says: {answer}"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
