"""Who makes a request, once that is proven, and how a request says so: the rules that all kinds of servers share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from assay.spiffeid import SpiffeId
from assay.svid import JwtSvid
from assay.svid.refusal import Reason, SvidRefusedError
from assay.verify import JwtVerifier

SCHEME = "Bearer"


@dataclass(frozen=True, slots=True)
class Caller:
    """`token` is the request's JWT-SVID, `peer` the ID by the connection's X.509-SVID; one of them is there."""

    token: JwtSvid | None
    peer: SpiffeId | None

    @property
    def spiffe_id(self) -> SpiffeId:
        """Whom the request speaks for: the token's subject, or else the peer."""
        if self.token is not None:
            return self.token.spiffe_id
        return cast("SpiffeId", self.peer)


def bearer(values: Sequence[str]) -> str | None:
    """The token in the values of `authorization`; None if there are none.

    As `Bearer` (RFC 6750, section 2.1), over HTTP and gRPC alike (JWT-SVID, sections 5.2 and 5.3).

    Raises:
        SvidRefusedError: there are two, or it is another scheme's.
    """
    if not values:
        return None
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != SCHEME.lower() or not token.isascii():
        raise SvidRefusedError(Reason.MALFORMED, "the authorization is not one Bearer token")
    return token.strip(" ")


def presented_token(jwt: JwtVerifier | None, values: Sequence[str]) -> JwtSvid | None:
    """The JWT-SVID in the values of `authorization`; None if there are none, or nobody here judges them.

    Raises:
        RefusedError: what is there is no good one, or of somebody who is not wanted.
    """
    token = bearer(values) if jwt is not None else None
    return None if jwt is None or token is None else jwt.verify(token)


def known(token: JwtSvid | None, peer: SpiffeId | None) -> Caller:
    """The caller who proved that much.

    Raises:
        SvidRefusedError: nothing is proven.
    """
    if token is None and peer is None:
        raise SvidRefusedError(Reason.NO_CREDENTIAL, "the request has no SVID")
    return Caller(token, peer)
