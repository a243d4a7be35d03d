"""What servers of both kinds decide alike."""

from collections.abc import Collection, Iterable

from assay.caller import presented_token
from assay.errors import InvalidArgumentError
from assay.svid import JwtSvid
from assay.verify import JwtVerifier

AUTHORIZATION = "authorization"


class Rules:
    """Which methods everyone may call, and what tokens are worth.

    Raises:
        InvalidArgumentError: a public method is not written as `/package.Service/Method`.
    """

    def __init__(self, jwt: JwtVerifier | None, public: Collection[str]) -> None:
        for one in public:
            if not one.startswith("/") or one.count("/") != 2:  # noqa: PLR2004 - the two of /service/method
                raise InvalidArgumentError(
                    f'"{one}" is no method', hint="write it as gRPC does, /grpc.health.v1.Health/Check"
                )
        self._jwt = jwt
        self._public = frozenset(public)

    def public(self, method: str | None) -> bool:
        """Whether everyone may call that."""
        return method in self._public

    def token(self, metadata: Iterable[tuple[str, str | bytes]] | None) -> JwtSvid | None:
        """The call's token; None if it has none.

        Raises:
            RefusedError: it is no good one, or of somebody who is not wanted.
        """
        values = [value for key, value in metadata or () if key == AUTHORIZATION]
        return presented_token(
            self._jwt, [value if isinstance(value, str) else value.decode("latin-1") for value in values]
        )
