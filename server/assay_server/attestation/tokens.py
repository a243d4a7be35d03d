"""Join tokens: made for one agent, good for one attestation."""

import uuid
from dataclasses import dataclass

from assay.clock import Clock
from assay.entry import Entry
from assay.errors import InvalidArgumentError
from assay.selector import Selector
from assay.spiffeid import SpiffeId, TrustDomain
from assay_server.attestation.identity import join_token_agent, require_workload
from assay_server.datastore.base import Store, Transaction
from assay_server.model import JoinToken


@dataclass(frozen=True, slots=True)
class JoinTokens:
    """Makes and takes join tokens."""

    store: Store
    clock: Clock
    trust_domain: TrustDomain

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
        return token

    async def redeem(self, value: str) -> SpiffeId:
        """Use the token up, even when it has expired; the ID of the agent it admits.

        Raises:
            InvalidArgumentError: no such token, used before, or expired.
        """
        token = await self.store.write(lambda tx: tx.join_tokens.take(value))
        if token is None:
            raise InvalidArgumentError(
                "failed to attest: join token does not exist or has already been used",
                hint="make a new one with `assay token generate`",
            )
        if token.expires_at < self.clock.now().timestamp():
            raise InvalidArgumentError("join token expired", hint="make a new one with `assay token generate`")
        return join_token_agent(self.trust_domain, value)


def is_alias(entry: Entry, agent: SpiffeId) -> bool:
    """Whether the entry is the one made together with the agent's join token: it goes when the agent goes."""
    return entry.parent_id == agent and entry.selectors == (Selector("spiffe_id", str(agent)),)


def _check_alias(alias: SpiffeId, trust_domain: TrustDomain) -> None:
    try:
        require_workload(alias, trust_domain)
    except InvalidArgumentError as error:
        raise InvalidArgumentError(f"invalid agent ID: {error.message}", hint=error.hint) from None


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
