"""TLS handshakes on pairs of sockets, and contexts that look at nobody: what peers are to be tested with."""

import socket
import ssl
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from assay.svid import X509Svid
from assay.svid.refusal import RefusedError
from assay.tls import refusal_of
from assay.transport.tls import present

_PATIENCE = 30


@dataclass
class End:
    """What became of one end of a handshake."""

    connection: ssl.SSLSocket | None = None
    error: Exception | None = None

    @property
    def open(self) -> ssl.SSLSocket:
        """The connection; there has to be one."""
        if self.connection is None:
            raise AssertionError("no handshake") from self.error
        return self.connection

    @property
    def refusal(self) -> RefusedError:
        """Why the other end was refused; it has to have been."""
        found = refusal_of(self.error)
        if found is None or self.connection is not None:
            raise AssertionError("not refused") from self.error
        return found


class Handshakes:
    """Shakes hands between two contexts, the server in a thread. A context manager, which closes what was opened."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __call__(
        self, server: ssl.SSLContext, client: ssl.SSLContext, *, session: ssl.SSLSession | None = None
    ) -> tuple[End, End]:
        """The server's end and the client's."""
        near, far = socket.socketpair()
        for one in (near, far):
            one.settimeout(_PATIENCE)
            self._stack.callback(one.close)
        served, called = End(), End()
        thread = threading.Thread(target=self._serve, args=(server, near, served))
        thread.start()
        try:
            called.connection = self._keep(client.wrap_socket(far, server_hostname="localhost", session=session))
        except OSError as error:
            called.error = error
            far.close()
        thread.join()
        return served, called

    def _serve(self, server: ssl.SSLContext, near: socket.socket, end: End) -> None:
        try:
            end.connection = self._keep(server.wrap_socket(near, server_side=True))
        except OSError as error:
            end.error = error
            # As a server does that is done with a connection.
            near.close()

    def _keep(self, connection: ssl.SSLSocket) -> ssl.SSLSocket:
        self._stack.callback(connection.close)
        return connection


def careless(svid: X509Svid | None = None, *, server: bool = False) -> ssl.SSLContext:
    """A context of the standard library that presents what it is given and takes whoever is there."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if svid is not None and svid.key is not None:
        present(context, svid.chain, svid.key)
    return context
