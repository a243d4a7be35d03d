"""How long a connection's peer may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds. `connect` is for TCP alone, `handshake` for TLS after it.

    `linger` is what both ends of a closed connection get to take what is still on its way to them. `guest` is how long
    a TLS client without a certificate may stay: long enough to attest, and to wait for its turn to.
    """

    connect: float = 10.0
    handshake: float = 10.0
    linger: float = 5.0
    guest: float = 300.0


ORDINARY = Limits()
