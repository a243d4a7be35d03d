"""The live policy, as everything that decides asks for it: read when it is first asked for, again when it changed.

A bundle that cannot be read, or is not what was signed, decides nothing: every question is refused until there is
another. Nothing older is used in its place.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from assay.errors import AssayError, InvalidArgumentError, UnavailableError
from assay_server.datastore.base import ChangeKind, Store, Transaction
from assay_server.model.governed.policybundle import LIVE_POLICY, POLICY_BUNDLE, LivePolicy, PolicyBundle
from assay_server.policy.engine import Policy, bundle_digest, compiled, shipped
from assay_server.policy.signature import verified

_LIVE = f"{LIVE_POLICY.name}/{LIVE_POLICY.key(LivePolicy(0, 0))}"
_BUNDLES = f"{POLICY_BUNDLE.name}/"
_HINT = "push a policy that can be read, or `assay policy rollback` to one"

_TRIES = 8
"""How often policy may move while something is decided by it: each time somebody has pushed in between."""

T = TypeVar("T")


class PolicySource(Protocol):
    """Where the policy comes from."""

    async def current(self) -> Policy:
        """The bundle that decides now (UnavailableError when there is none that can be read)."""
        ...


class ShippedPolicy:
    """Only the set that comes with the server."""

    async def current(self) -> Policy:
        """That set."""
        return shipped()


class Policies:
    """The live policy of a store, which it follows: whoever asks after a commit gets what was committed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen = -1
        self._live: Policy | UnavailableError | None = None
        self._loading = asyncio.Lock()

    async def current(self) -> Policy:
        """The bundle that decides now (UnavailableError when there is none that can be read)."""
        if self._stale():
            async with self._loading:
                if self._stale():
                    await self._load()
        return self.live

    @property
    def live(self) -> Policy:
        """What `current` found last (UnavailableError as there, and before anybody called it)."""
        if self._live is None:
            raise UnavailableError("no policy is loaded yet")
        if isinstance(self._live, UnavailableError):
            raise self._live
        return self._live

    def _stale(self) -> bool:
        if self._live is None:
            return True
        sequence = self._store.sequence
        written = self._store.recent(self._seen)
        if written is None or any(_is_policy(each.change.kind, each.change.object_id) for each in written):
            return True
        self._seen = sequence
        return False

    async def _load(self) -> None:
        sequence = self._store.sequence  # before the reading: a later change is looked at again
        try:
            bundle = await self._store.read(live_bundle)
            self._live = await asyncio.to_thread(compiled, bundle) if bundle else shipped()
        except (AssayError, ValueError) as error:
            said = error.message if isinstance(error, AssayError) else "it cannot be read"
            self._live = UnavailableError(f"the live policy cannot be used: {said}", hint=_HINT)
        self._seen = sequence


async def under_live(store: Store, policies: PolicySource, work: Callable[[Transaction, Policy], T]) -> T:
    """What `work` comes to under the policy that is live in the very transaction it is done in.

    Policy is read before, since parsing one takes long; when somebody has pushed another meanwhile, nothing is done and
    it goes again. So what is written after a push was decided by what was pushed.

    Raises:
        UnavailableError: there is no policy that can be read, or another one each time.
    """
    for _ in range(_TRIES):
        policy = await policies.current()
        done = await store.write(lambda tx, one=policy: (work(tx, one),) if is_live(tx, one) else None)  # type: ignore[misc]
        if done is not None:
            return done[0]
    raise UnavailableError("the live policy is not the one that is decided by", hint="try again")


def is_live(tx: Transaction, policy: Policy) -> bool:
    """Whether this is the policy that is live; a version never comes again with other contents."""
    return live_of(tx).version == policy.version


def live_bundle(tx: Transaction) -> PolicyBundle | None:
    """The live one as it was signed; None for the shipped set.

    Raises:
        AssayError: it is not there, or not what was signed.
    """
    live = live_of(tx)
    if tx.governed.get(POLICY_BUNDLE, key_of(live.highest + 1)) is not None or live.version > live.highest:
        raise UnavailableError("the record of what is live is older than the newest bundle")
    return stored(tx, live.version) if live.version else None


def live_of(tx: Transaction) -> LivePolicy:
    """Which version is live."""
    return tx.governed.get(LIVE_POLICY, LIVE_POLICY.key(LivePolicy(0, 0))) or LivePolicy(0, 0)


def stored(tx: Transaction, version: int) -> PolicyBundle:
    """That version, as it was signed.

    Raises:
        AssayError: it is not there, or not what was signed.
    """
    bundle = tx.governed.get(POLICY_BUNDLE, key_of(version))
    if bundle is None:
        raise UnavailableError(f"there is no version {version}")
    try:
        said = verified(bundle.signature)
    except InvalidArgumentError as error:
        raise UnavailableError(f"version {version}: {error.message}") from None
    if bundle_digest(bundle.files, bundle.tests) != bundle.digest or said.digest != bundle.digest:
        raise UnavailableError(f"version {version} is not what was signed")
    if (said.version, said.schema_version) != (version, bundle.schema_version) or bundle.version != version:
        raise UnavailableError(f"version {version} was signed as version {said.version}")
    return bundle


def key_of(version: int) -> str:
    """A bundle's key in the store."""
    return POLICY_BUNDLE.key(PolicyBundle(version, "", 0))


def _is_policy(kind: ChangeKind, object_id: str) -> bool:
    return kind is ChangeKind.GOVERNED and (object_id == _LIVE or object_id.startswith(_BUNDLES))
