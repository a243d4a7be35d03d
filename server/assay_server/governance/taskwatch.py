"""What becomes of an instance's tasks, as it happens."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from typing import cast

from assay_server.datastore.base import ChangeKind, Store
from assay_server.governance.tasks import By, Caller, TaskService
from assay_server.model.governed.task import TASK, Task

_PREFIX = f"{TASK.name}/"


class TaskWatch:
    """Follows the store for instances that follow their tasks."""

    def __init__(self, store: Store, tasks: TaskService) -> None:
        self._store = store
        self._tasks = tasks

    async def follow(
        self, callers: tuple[Caller, ...], known: Mapping[str, int], check: Callable[[], Awaitable[object]]
    ) -> AsyncGenerator[Task, None]:
        """Tasks as they are, then each whose state, authority or end has changed; nothing not newer than `known`.

        `check` raises when the caller's right is over, and is asked after whatever that may have changed was told:
        whose principal was suspended still learns that its tasks have ended.
        """
        by, told, seen = By(callers=callers), dict(known), self._store.sequence
        for task in await self._read(callers, told, None):
            if by.actor(task) is not None and task.revision > told.get(task.task_id, 0):
                told[task.task_id] = task.revision
                yield task
        # A stream's generator has to leave the store with it, not when it is collected.
        async with aclosing(cast("AsyncGenerator[int, None]", self._store.watch())) as sequences:
            async for sequence in sequences:
                touched, seen = self._touched(seen), sequence
                for task in await self._read(callers, told, touched):
                    if by.actor(task) is not None and task.revision > told.get(task.task_id, 0):
                        told[task.task_id] = task.revision
                        yield task
                if touched is None or touched:
                    await check()

    def _touched(self, since: int) -> Collection[str] | None:
        """IDs of the tasks that were written since; None if that is not known any more."""
        written = self._store.recent(since)
        if written is None:
            return None
        named = (one.change.object_id for one in written if one.change.kind is ChangeKind.GOVERNED)
        return {one.removeprefix(_PREFIX) for one in named if one.startswith(_PREFIX)}

    async def _read(
        self, callers: tuple[Caller, ...], told: Collection[str], touched: Collection[str] | None
    ) -> list[Task]:
        if touched is None:
            known = {task.task_id: task for task in await self._tasks.own(callers)}
            touched = set(told) - known.keys()
        else:
            known = {}
        if touched:
            names = sorted(touched)
            found = await self._store.read(lambda tx: [tx.governed.get(TASK, name) for name in names])
            known |= {task.task_id: task for task in found if task is not None}
        return [known[name] for name in sorted(known)]
