"""SVIDs that are tokens, within tasks.

A plain request for a JWT-SVID names no task, so it is answered when just one covers the audience; a WIT-SVID, which has
no audience, when the instance has just one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assay.bundle import jwk
from assay.clock import Clock
from assay.crypto.keys import PublicKey
from assay.errors import PermissionDeniedError
from assay.spiffeid import SpiffeId
from assay_server.credential import Issuer
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.credentials import CredentialService, Granted, IssuedCredential, Sign
from assay_server.governance.request import Binding, Confirmation, CredentialRequest
from assay_server.governance.selection import covering
from assay_server.governance.statusclaim import status_claim
from assay_server.model.governed.task import TASK, Task, TaskState

KIND, WIT_KIND = "jwt-svid", "wit-svid"

Issuing = Callable[[Sign], CredentialService]
"""Makes a service of what signs its tokens."""


@dataclass(frozen=True, slots=True)
class WitKey:
    """The instance's key, and what it signs with."""

    public: PublicKey
    algorithm: str


class TaskSvids:
    """Finds the task and has the credential issued; `credentials` signs JWT-SVIDs."""

    def __init__(self, store: Store, credentials: CredentialService, clock: Clock) -> None:
        self._store = store
        self._credentials = credentials
        self._clock = clock

    async def issue(
        self, principal: str, instance: SpiffeId, audience: Sequence[str], task_id: str = "", ttl: int = 0
    ) -> IssuedCredential:
        """A JWT-SVID of that instance that ends with its task, and after at most `ttl` seconds if that is not 0.

        Raises:
            PermissionDeniedError: no task of its covers the audience, or several do; policy refuses; the message says
                what to do, since workloads are told no hints.
            UnavailableError: there is no key to sign with, or no policy to decide by.
        """
        if len(audience) != 1:
            raise PermissionDeniedError("a token within a task is for one audience: ask for each by itself")
        now = self._clock.now().timestamp()
        tasks = await self._store.read(lambda tx: covering(tx, principal, instance, audience[0], now))
        task = chosen([one for one in tasks if task_id in {"", one.task_id}], audience[0])
        request = CredentialRequest(task.task_id, instance, audience[0], None, requested_ttl=ttl, kind=KIND)
        return await self._credentials.issue(request)


class TaskWits:
    """WIT-SVIDs of instances; `issuing` makes a CredentialService of what signs, `status_lists` as for `TaskTokens`."""

    def __init__(self, store: Store, issuing: Issuing, issuer: Issuer, clock: Clock, status_lists: str = "") -> None:
        self._status_lists = status_lists
        self._store = store
        self._issuing = issuing
        self._issuer = issuer
        self._clock = clock

    async def issue(
        self, principal: str, instance: SpiffeId, key: WitKey, task_id: str = "", ttl: int = 0
    ) -> IssuedCredential:
        """A WIT-SVID of that instance and for its key, which ends with its task; raises as `TaskSvids.issue`.

        Raises:
            UnimplementedError: the server issues none.
            InvalidArgumentError: the key is not one for its algorithm.
        """
        self._issuer.check_wit()
        now = self._clock.now().timestamp()
        tasks = await self._store.read(lambda tx: active_of(tx, principal, instance, now))
        task = chosen([one for one in tasks if task_id in {"", one.task_id}])
        # Names the key in the record; and what is no key for its algorithm leaves no record.
        named = jwk.thumbprint(self._issuer.wit_confirmation(key.public, key.algorithm))
        confirmation = Confirmation(Binding.DPOP, named)
        request = CredentialRequest(
            task.task_id, instance, "", confirmation, requested_ttl=ttl, kind=WIT_KIND, everywhere=True
        )
        return await self._issuing(self._signing(key)).issue(request)

    def _signing(self, key: WitKey) -> Sign:
        def sign(granted: Granted) -> str:
            said = granted.credential
            instance = SpiffeId.parse(said.instance)
            status, times = status_claim(self._status_lists, said), (said.issued_at, said.expires_at)
            return self._issuer.task_wit(instance, key.public, key.algorithm, *times, said.jti, status)

        return sign


def signing(issuer: Issuer, status_lists: str = "") -> Sign:
    """Signs JWT-SVIDs that say what was granted; `status_lists` as `TaskTokens` has it."""

    def sign(granted: Granted) -> str:
        said = granted.credential
        instance = SpiffeId.parse(said.instance)
        status = status_claim(status_lists, said)
        return issuer.task_jwt(instance, said.audience, said.issued_at, said.expires_at, said.jti, status)

    return sign


def active_of(tx: Transaction, principal: str, instance: SpiffeId, now: float) -> list[Task]:
    """The active tasks of that principal that this instance may have tokens in."""
    tasks, _ = tx.governed.find(TASK, [("principal", principal), ("state", TaskState.ACTIVE.value)], Page())
    return [task for task in tasks if task.active(now) and task.instance in {"", str(instance)}]


def chosen(tasks: Sequence[Task], audience: str = "") -> Task:
    """The one there is, for that audience if one is named.

    Raises:
        PermissionDeniedError: there is none, or there are several.
    """
    if not tasks:
        none = f'no active task covers the audience "{audience}"' if audience else "this instance has no active task"
        raise PermissionDeniedError(f"{none}: open a task for it")
    if len(tasks) > 1:
        where = f'covers the audience "{audience}"' if audience else "is this instance's"
        raise PermissionDeniedError(f"more than one active task {where}: ask for a credential of one of them")
    return tasks[0]
