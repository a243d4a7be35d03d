"""What a process gets as the instance that it is."""

import asyncio
from collections.abc import Sequence

from assay.entry import Entry
from assay.errors import UnavailableError
from assay.spiffeid import SpiffeId
from assay_agent.cache import Cache
from assay_agent.cache.subscription import PATIENCE
from assay_agent.cache.wit import Wit, WitCache
from assay_agent.client.values import PrincipalJwt
from assay_agent.instance.svids import InstanceSvids
from assay_agent.instance.tokens import PrincipalTokens
from assay_agent.instance.values import InstanceValues
from assay_agent.instance.views import Attested, InstanceViews, OwnViews


class Instances:
    """Its X.509-SVIDs, and the tokens of its tasks. `patience` is as a Cache has it."""

    def __init__(
        self,
        cache: Cache,
        svids: InstanceSvids,
        values: InstanceValues,
        tokens: PrincipalTokens,
        *,
        patience: float = PATIENCE,
    ) -> None:
        self._cache = cache
        self._svids = svids
        self._values = values
        self._tokens = tokens
        self._patience = patience

    def subscribe(self, who: Attested) -> InstanceViews:
        """Follow what this process is entitled to, its own SVIDs among it."""
        return InstanceViews(
            self._cache.subscribe(who.selectors),
            lambda shared, given: OwnViews(shared, given, self._svids, self._values, who, self._patience),
        )

    async def jwt(self, who: Attested, entry: Entry, audience: Sequence[str]) -> PrincipalJwt:
        """A JWT-SVID for an entry of a principal.

        Raises:
            PermissionDeniedError: no task of its covers the audience; the message says what to do.
            AssayError: the instance cannot be told, or the server refuses.
        """
        return await self._tokens.fetch(entry, await self._value(who, entry), audience)

    async def wit(self, who: Attested, entry: Entry, wits: WitCache) -> Wit:
        """A WIT-SVID for an entry of a principal, under the SPIFFE ID that this process has by it; raises as `jwt`."""
        return await wits.mint(entry, self._tokens.wits(await self._value(who, entry)))

    async def spiffe_id(self, who: Attested, entry: Entry) -> SpiffeId:
        """The SPIFFE ID that the server gives this process by that entry, which is in its X.509-SVID.

        Raises:
            AssayError: the instance cannot be told, or the server refuses, or does not answer.
        """
        if not entry.instance_from:
            return entry.spiffe_id
        woken = asyncio.Event()
        instance = self._svids.follow(entry, await self._value(who, entry), who.peer, woken.set)
        try:
            async with asyncio.timeout(self._patience):
                while not instance.settled:
                    await woken.wait()
                    woken.clear()
        except TimeoutError:
            raise UnavailableError("SVID is not signed yet", hint="is the server reachable?") from None
        finally:
            self._svids.leave(instance, woken.set)
        if instance.identity is None:
            raise instance.refusal or UnavailableError("SVID is not signed yet")
        return instance.identity.svid.spiffe_id

    async def value(self, who: Attested, entry: Entry) -> str:
        """What tells this process from other copies, once the server knows it as an instance; empty if nothing need.

        Raises:
            AssayError: as `spiffe_id` does.
        """
        await self.spiffe_id(who, entry)
        return await self._value(who, entry)

    async def _value(self, who: Attested, entry: Entry) -> str:
        if not entry.instance_from:
            return ""
        return await self._values.of(who.peer, who.selectors, entry.instance_from)
