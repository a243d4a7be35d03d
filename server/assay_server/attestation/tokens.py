"""Join tokens: made for one agent, good for one attestation."""

import uuid
from dataclasses import dataclass, field

from assay.clock import Clock
from assay.entry import Entry
from assay.errors import InvalidArgumentError, prefixed
from assay.namespace import require_workload
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.attestation.identity import join_token_agent
from assay_server.datastore.base import Store, Transaction
from assay_server.model import JoinToken

REMEMBERED = 4096
"""How many tokens made by this process are known without a look into the store."""

NEW_ONE = "make a new one with `assay token generate`"


@dataclass(frozen=True, slots=True)
class JoinTokens:
    """Makes and checks join tokens; `spend` uses them up."""

    store: Store
    clock: Clock
    trust_domain: TrustDomain
    _made: dict[str, JoinToken] = field(default_factory=dict[str, JoinToken], repr=False)

    async def create(self, ttl: int, value: str = "", alias: SpiffeId | None = None) -> JoinToken:
        """Make a token that ends in `ttl` seconds; `alias` is a second ID for the agent, given by an entry.

        Raises:
            InvalidArgumentError: no ttl, an alias that no workload may have, a token that is no path segment.
            AlreadyExistsError: there is such a token.
        """
        if ttl < 1:
            raise InvalidArgumentError("ttl is required, you must provide one")
        if alias is not None:
            _check_alias(alias, self.trust_domain)
        now = int(self.clock.now().timestamp())
        token = JoinToken(value or str(uuid.uuid4()), now + ttl)
        agent = _agent_of(self.trust_domain, token)
        await self.store.write(lambda tx: _create(tx, token, _alias_entry(agent, alias, now) if alias else None))
        self._remember(token)
        return token

    async def check(self, value: str) -> SpiffeId:
        """The ID of the agent it admits. One that has expired is used up by being shown.

        Raises:
            InvalidArgumentError: no such token, used before, or expired.
        """
        now = self.clock.now().timestamp()
        # Whether it is still there is found out when it is spent: one made here needs no look before that.
        token = self._made.pop(value, None)
        if token is None or token.expires_at < now:
            token = await self.store.read(lambda tx: tx.join_tokens.get(value))
        if token is not None and token.expires_at < now:
            await self.store.write(lambda tx: tx.join_tokens.take(value))
            raise InvalidArgumentError("join token expired", hint=NEW_ONE)
        if token is None:
            raise _spent()
        return join_token_agent(self.trust_domain, value)

    def _remember(self, token: JoinToken) -> None:
        while len(self._made) >= REMEMBERED:
            del self._made[next(iter(self._made))]
        self._made[token.value] = token


def spend(tx: Transaction, value: str) -> None:
    """Use the token up, in the transaction that writes the node it admits: neither is ever there without the other.

    Raises:
        InvalidArgumentError: another attestation was faster.
    """
    if tx.join_tokens.take(value) is None:
        raise _spent()


def _spent() -> InvalidArgumentError:
    return InvalidArgumentError("failed to attest: join token does not exist or has already been used", hint=NEW_ONE)


def is_token_alias(entry: Entry, agent: SpiffeId) -> bool:
    """Whether the entry is the one made together with the agent's join token: it goes when the agent goes."""
    return entry.parent_id == agent and entry.selectors == (Selector("spiffe_id", str(agent)),)


def _check_alias(alias: SpiffeId, trust_domain: TrustDomain) -> None:
    with prefixed("invalid agent ID"):
        require_workload(alias, trust_domain)


def _agent_of(trust_domain: TrustDomain, token: JoinToken) -> SpiffeId:
    try:
        return join_token_agent(trust_domain, token.value)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(
            f"failed to create join token ID: {error.message}", hint="use letters, digits, `.`, `-` and `_`"
        ) from None


def _alias_entry(agent: SpiffeId, alias: SpiffeId, now: int) -> Entry:
    return Entry(
        id=str(uuid.uuid4()),
        spiffe_id=alias,
        parent_id=agent,
        selectors=(Selector("spiffe_id", str(agent)),),
        created_at=now,
    )


def _create(tx: Transaction, token: JoinToken, alias: Entry | None) -> None:
    tx.join_tokens.create(token)
    if alias is not None:
        tx.entries.create(alias)
