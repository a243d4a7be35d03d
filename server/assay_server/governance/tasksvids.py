"""JWT-SVIDs within tasks: a plain request names no task, so it is answered when just one covers the audience."""

from collections.abc import Sequence

from assay.clock import Clock
from assay.errors import PermissionDeniedError
from assay.spiffeid import SpiffeId
from assay_server.credential import Issuer
from assay_server.datastore.base import Store
from assay_server.governance.credentials import CredentialService, Granted, IssuedCredential, Sign
from assay_server.governance.request import CredentialRequest
from assay_server.governance.selection import covering
from assay_server.governance.statusclaim import status_claim
from assay_server.model.governed.task import Task

KIND = "jwt-svid"


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


def signing(issuer: Issuer, status_lists: str = "") -> Sign:
    """Signs JWT-SVIDs that say what was granted; `status_lists` as `TaskTokens` has it."""

    def sign(granted: Granted) -> str:
        said = granted.credential
        instance = SpiffeId.parse(said.instance)
        status = status_claim(status_lists, said)
        return issuer.task_jwt(instance, said.audience, said.issued_at, said.expires_at, said.jti, status)

    return sign


def chosen(tasks: Sequence[Task], audience: str) -> Task:
    """The one there is.

    Raises:
        PermissionDeniedError: there is none, or there are several.
    """
    if not tasks:
        raise PermissionDeniedError(f'no active task covers the audience "{audience}": open a task for it')
    if len(tasks) > 1:
        raise PermissionDeniedError(
            f'more than one active task covers the audience "{audience}": ask for a credential of one of them'
        )
    return tasks[0]
