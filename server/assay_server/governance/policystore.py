"""Pushing policies and rolling back: checked, tried on their golden tables, signed, and written with an event."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from assay.clock import Clock
from assay.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from assay.keymanager.base import SigningKey
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.journal import record
from assay_server.governance.policies import key_of, live_of, stored
from assay_server.model.governed.event import Event, EventType
from assay_server.model.governed.policybundle import LIVE_POLICY, POLICY_BUNDLE, LivePolicy, PolicyBundle
from assay_server.policy.check import checked
from assay_server.policy.engine import SCHEMA_VERSION, bundle_digest, compiled, shipped
from assay_server.policy.golden import failed
from assay_server.policy.signature import Signed, sign, verified

PolicyKey = Callable[[], Awaitable[SigningKey]]
"""The server's own key for policies, made when there is none."""


@dataclass(frozen=True, slots=True)
class Live:
    """What is live, and the highest version there ever was."""

    bundle: PolicyBundle
    highest: int


class PolicyStore:
    """All versions of the policy; one is live."""

    def __init__(self, store: Store, clock: Clock, key: PolicyKey) -> None:
        self._store = store
        self._clock = clock
        self._key = key

    async def push(self, files: Mapping[str, str], tests: str, signature: str, actor: str) -> PolicyBundle:
        """Make it the newest version and live. Without a signature the server signs.

        Raises:
            InvalidArgumentError: it is not valid, below the floor, fails its tests, or the signature is not its own.
            FailedPreconditionError: it is live already, or was signed for another version than comes next.
        """
        bundle = await asyncio.to_thread(reviewed, files, tests)
        said = verified(signature) if signature else None
        if said is not None and (said.digest, said.schema_version) != (bundle.digest, SCHEMA_VERSION):
            raise InvalidArgumentError("the signature is of another bundle", hint="sign what is pushed")
        key = await self._key() if said is None else None
        pushed = replace(bundle, signature=signature, pushed_at=self._now(), pushed_by=actor)
        return await self._store.write(lambda tx: _pushed(tx, pushed, said, key))

    async def rollback(self, version: int, actor: str) -> PolicyBundle:
        """Make a version live that was live before; 0 is the shipped set.

        Raises:
            NotFoundError: there is no such version.
            FailedPreconditionError: it is live already, or would not be taken today.
            UnavailableError: it is not what was signed.
        """
        bundle = await self._store.read(lambda tx: _before(tx, version))
        try:
            await asyncio.to_thread(checked, bundle.files)
        except InvalidArgumentError as error:
            raise FailedPreconditionError(f"version {version} would not be taken today: {error.message}") from None
        await self._store.write(lambda tx: _rolled_back(tx, bundle, actor, self._now()))
        return bundle

    async def live(self) -> Live:
        """What is live, by the record, whether it can be read or not."""

        def read(tx: Transaction) -> Live:
            live = live_of(tx)
            bundle = tx.governed.get(POLICY_BUNDLE, key_of(live.version)) if live.version else shipped().bundle
            return Live(bundle or PolicyBundle(live.version, "", 0), live.highest)

        return await self._store.read(read)

    async def get(self, version: int) -> PolicyBundle:
        """That version; 0 is the shipped set (NotFoundError)."""
        if not version:
            return shipped().bundle
        bundle = await self._store.read(lambda tx: tx.governed.get(POLICY_BUNDLE, key_of(version)))
        if bundle is None:
            raise NotFoundError(f"there is no version {version} of the policy", hint="see `assay policy list`")
        return bundle

    async def find(self, page: Page) -> tuple[list[PolicyBundle], str]:
        """All versions that were pushed, oldest first."""
        return await self._store.read(lambda tx: tx.governed.find(POLICY_BUNDLE, (), page))

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def reviewed(files: Mapping[str, str], tests: str) -> PolicyBundle:
    """A bundle of these, without version and signature.

    Raises:
        InvalidArgumentError: it is not valid, below the floor, or fails its tests.
    """
    checked(files)
    bundle = PolicyBundle(0, bundle_digest(files, tests), SCHEMA_VERSION, dict(files), tests)
    if wrong := failed(compiled(bundle), tests):
        raise InvalidArgumentError("\n".join(wrong), hint="`assay policy test DIR` says the same")
    return bundle


def _pushed(tx: Transaction, bundle: PolicyBundle, said: Signed | None, key: SigningKey | None) -> PolicyBundle:
    live = live_of(tx)
    before = tx.governed.get(POLICY_BUNDLE, key_of(live.version))
    if before is not None and before.digest == bundle.digest:
        raise FailedPreconditionError(f"this is version {live.version}, which is live already")
    version = live.highest + 1
    if said is not None and said.version != version:
        raise FailedPreconditionError(_other_version(said.version, version))
    if key is not None:
        said = Signed(bundle.digest, version, bundle.schema_version)
        bundle = replace(bundle, signature=sign(key, said))
    bundle = replace(bundle, version=version)
    event = _event(bundle, live, bundle.pushed_by, bundle.pushed_at, "pushed")
    record(tx, event, (POLICY_BUNDLE, bundle), (LIVE_POLICY, LivePolicy(version, version)))
    return bundle


def _other_version(signed: int, version: int) -> str:
    if signed >= version:
        return f"it was signed as version {signed}, and version {version} comes next; push again"
    since = f"rolled back: it was signed as version {signed}, and there was version {version - 1} since"
    return f"{since}; `assay policy rollback` returns to an old one"


def _before(tx: Transaction, version: int) -> PolicyBundle:
    live = live_of(tx)
    if version == live.version:
        raise FailedPreconditionError(f"version {version} is live already")
    if not 0 <= version <= live.highest:
        raise NotFoundError(f"there is no version {version} of the policy", hint="see `assay policy list`")
    return stored(tx, version) if version else shipped().bundle


def _rolled_back(tx: Transaction, bundle: PolicyBundle, actor: str, now: int) -> None:
    live = live_of(tx)
    event = _event(bundle, live, actor, now, "rolled_back")
    record(tx, event, (LIVE_POLICY, LivePolicy(bundle.version, live.highest)))


def _event(bundle: PolicyBundle, before: LivePolicy, actor: str, now: int, change: str) -> Event:
    details = {
        "change": change,
        "version": bundle.version,
        "previous": before.version,
        "digest": bundle.digest,
        "schema_version": bundle.schema_version,
        "signer": verified(bundle.signature).signer if bundle.signature else "",
    }
    return Event(EventType.POLICY_CHANGED, now, actor, f"policy/{bundle.version}", details=details)
