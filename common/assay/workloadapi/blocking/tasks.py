"""The client of tasks, with a thread of its own."""

from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assay.governed.authority import Access
from assay.workloadapi import tasks
from assay.workloadapi.address import Endpoint
from assay.workloadapi.blocking.backed import Backed
from assay.workloadapi.tasks import Bounds, CallDecision, OpenedTask, TaskCredential


class TaskClient(Backed[tasks.TaskClient]):
    """As `assay.workloadapi.tasks.TaskClient`, as a context manager; what the arguments are it says there.

    What watches should be closed, or run to its end, before the client is.
    """

    def __init__(self, endpoint: Endpoint | Path | str | None = None) -> None:
        super().__init__(tasks.TaskClient, endpoint)

    def open(
        self,
        goal: str | Mapping[str, Any],
        authority: Sequence[Access],
        *,
        lasting: int = 0,
        budget: Bounds | None = None,
        data_classes: Sequence[str] = (),
        constraints: Mapping[str, Any] | None = None,
        parent: str = "",
        principal: str = "",
        within: float | None = None,
    ) -> OpenedTask:
        """Open a task for this workload."""
        return self._background.run(
            lambda: self._client.open(
                goal,
                authority,
                lasting=lasting,
                budget=budget,
                data_classes=data_classes,
                constraints=constraints,
                parent=parent,
                principal=principal,
                within=within,
            )
        )

    def get(self, task_id: str, *, within: float | None = None) -> OpenedTask:
        """One of this workload's tasks."""
        return self._background.run(lambda: self._client.get(task_id, within=within))

    def list(self, *, within: float | None = None) -> tuple[OpenedTask, ...]:
        """This workload's tasks that have not ended."""
        return self._background.run(lambda: self._client.list(within=within))

    def credential(
        self,
        task_id: str,
        audience: str,
        *,
        actions: Sequence[str] = (),
        ttl: int = 0,
        jkt: str = "",
        x5t_s256: str = "",
        within: float | None = None,
    ) -> TaskCredential:
        """A token for one resource of the task's authority, bound to a key."""
        return self._background.run(
            lambda: self._client.credential(
                task_id, audience, actions=actions, ttl=ttl, jkt=jkt, x5t_s256=x5t_s256, within=within
            )
        )

    def decide(
        self,
        action: str,
        *,
        jti: str = "",
        task_id: str = "",
        resource: str = "",
        parameters: Mapping[str, Any] | None = None,
        parameters_digest: str = "",
        call_id: str = "",
        key_proved: bool = False,
        within: float | None = None,
    ) -> CallDecision:
        """Ask whether one call may be made; if so it is counted. A refusal is an answer, and not raised."""
        return self._background.run(
            lambda: self._client.decide(
                action,
                jti=jti,
                task_id=task_id,
                resource=resource,
                parameters=parameters,
                parameters_digest=parameters_digest,
                call_id=call_id,
                key_proved=key_proved,
                within=within,
            )
        )

    def narrow(
        self,
        task_id: str,
        *,
        authority: Sequence[Access] | None = None,
        constraints: Mapping[str, Any] | None = None,
        data_classes: Sequence[str] | None = None,
        ends_at: int | None = None,
        within: float | None = None,
    ) -> OpenedTask:
        """Leave the task less; what is None stays."""
        return self._background.run(
            lambda: self._client.narrow(
                task_id,
                authority=authority,
                constraints=constraints,
                data_classes=data_classes,
                ends_at=ends_at,
                within=within,
            )
        )

    def complete(self, task_id: str, *, within: float | None = None) -> OpenedTask:
        """End the task as done; its tokens are revoked."""
        return self._background.run(lambda: self._client.complete(task_id, within=within))

    def heartbeat(self, task_id: str, *, within: float | None = None) -> OpenedTask:
        """Say that the task is at work."""
        return self._background.run(lambda: self._client.heartbeat(task_id, within=within))

    def watch(self, known: Mapping[str, int] | None = None) -> Generator[OpenedTask]:
        """This workload's tasks as they are, and each whenever its state, authority or end changes."""
        return self._iterated(lambda: self._client.watch(known))
