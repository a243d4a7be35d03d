"""JWT-SVIDs of principals: kept where they stand on no task, asked for each time where they do."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from assay.bundle import Bundle
from assay.clock import Clock
from assay.entry import Entry
from assay_agent.cache.jwt import expires_soon
from assay_agent.cache.signers import Signers
from assay_agent.cache.tokens import Issued, TokenCache
from assay_agent.client.values import PrincipalJwt

Key = tuple[str, str, tuple[str, ...]]
"""An entry's ID, the value of the instance, and the audiences."""


class PrincipalTokenSource(Protocol):
    """Where they come from: ServerClient. Every method raises AssayError."""

    async def new_instance_jwt(self, entry_id: str, value: str, audience: Sequence[str]) -> PrincipalJwt:
        """Have one issued."""
        ...

    async def new_instance_wit(self, entry_id: str, value: str, public_key: bytes, algorithm: str) -> Issued:
        """Have one issued for that key (PKIX DER)."""
        ...


@dataclass(frozen=True, slots=True)
class InstanceWits:
    """WIT-SVIDs of one instance, as a WitCache asks for them."""

    source: PrincipalTokenSource
    value: str

    async def new_wit_svid(self, entry_id: str, public_key: bytes, algorithm: str) -> Issued:
        """Have one issued."""
        return await self.source.new_instance_wit(entry_id, self.value, public_key, algorithm)


class PrincipalTokens:
    """Tokens by entry and instance. Whose stand on no task is learnt from the first: an actor type is for ever.

    `draw` gives the jitter, a number in [0, 1) for each request.
    """

    def __init__(
        self,
        source: PrincipalTokenSource,
        clock: Clock,
        *,
        max_size: int = 1000,
        hit_timeout: float = 30.0,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._source = source
        self._clock = clock
        self._draw = draw
        self._signers = Signers()
        self._taskless: set[str] = set()
        self._kept: TokenCache[Key, PrincipalJwt] = TokenCache(
            clock, max_size=max_size, hit_timeout=hit_timeout, kind="JWT", whose=lambda key: key[0]
        )

    def __len__(self) -> int:
        return len(self._kept)

    async def fetch(self, entry: Entry, value: str, audience: Sequence[str]) -> PrincipalJwt:
        """A token of that instance; one of a task is never an earlier one, since the task may have ended.

        Raises:
            PermissionDeniedError: no task of its covers the audience; the message says what to do.
            AssayError: the server refuses, or gave none and none that is kept is still valid.
        """
        asked = tuple(audience)
        if entry.principal not in self._taskless or entry.jwt_svid_include_jti:
            return await self._mint(entry, value, asked)
        key = (entry.id, value, tuple(sorted(asked)))
        return await self._kept.get(key, self._fresh, lambda: self._mint(entry, value, asked))

    def wits(self, value: str) -> InstanceWits:
        """Where WIT-SVIDs of that instance come from."""
        return InstanceWits(self._source, value)

    def use(self, max_size: int, hit_timeout: float) -> None:
        """Keep at most so many from now on, and wait so many seconds for a renewal."""
        self._kept.use(max_size, hit_timeout)

    def take_bundle(self, bundle: Bundle) -> None:
        """Forget what was signed by keys that are tainted by this bundle of the own trust domain, or have left it."""
        before, self._signers = self._signers, Signers.of(bundle.jwt_authorities)
        self._kept.distrust(self._signers.lost_since(before))

    def clear(self) -> None:
        """Forget all: the server's keys are others now."""
        self._kept.clear()
        self._taskless.clear()

    def _fresh(self, jwt: PrincipalJwt) -> bool:
        return not jwt.task_id and not expires_soon(jwt, self._clock.now().timestamp(), self._draw())

    async def _mint(self, entry: Entry, value: str, audience: Sequence[str]) -> PrincipalJwt:
        issued = await self._source.new_instance_jwt(entry.id, value, audience)
        if issued.task_id:
            self._taskless.discard(entry.principal)
        else:
            self._taskless.add(entry.principal)
        return issued
