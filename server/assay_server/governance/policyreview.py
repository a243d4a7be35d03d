"""Looking at policies beside what was decided: a decision told again, and which live tasks another set would change."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from assay.clock import Clock
from assay.errors import AssayError, NotFoundError
from assay.governed.authority import actions_of
from assay_server.datastore.base import Page, Store, Transaction
from assay_server.governance.deciding import Facts, facts_of
from assay_server.governance.policies import stored
from assay_server.model.governed.decision import DECISION, Decision, DecisionRequest, Point
from assay_server.model.governed.policybundle import PolicyBundle
from assay_server.model.governed.principal import PRINCIPAL, Principal
from assay_server.model.governed.task import TASK, Task
from assay_server.policy.decide import decide, replay, same_answer
from assay_server.policy.engine import Policy, compiled, shipped, shipped_text
from assay_server.policy.source import statements

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision, the texts of the policies that determined it, and what the same policy says of the same inputs today.

    `replayed` is None where the policy is no longer at hand; `why_not` says why.
    """

    decision: Decision
    texts: dict[str, str]
    replayed: Decision | None
    why_not: str = ""

    @property
    def same(self) -> bool:
        """Whether the replay gave the same answer."""
        return self.replayed is not None and same_answer(self.decision, self.replayed)


@dataclass(frozen=True, slots=True)
class Changed:
    """An action of a live task whose answer would be another."""

    task_id: str
    principal: str
    tool: str
    before: Decision
    after: Decision


class PolicyReview:
    """Reads decisions and live tasks of a store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def explain(self, decision_id: str) -> Explained:
        """That decision, told again (NotFoundError)."""

        def read(tx: Transaction) -> tuple[Decision, PolicyBundle | str]:
            decision = tx.governed.get(DECISION, decision_id)
            if decision is None:
                raise NotFoundError("there is no such decision", hint="its ID begins with dec_")
            return decision, _bundle(tx, decision)

        decision, bundle = await self._store.read(read)
        if isinstance(bundle, str):
            return Explained(decision, {}, None, bundle)
        policy = shipped() if not bundle.version else await asyncio.to_thread(compiled, bundle)
        texts = _texts(policy, decision.policies)
        try:
            return Explained(decision, texts, replay(policy, decision))
        except (KeyError, ValueError):
            return Explained(decision, texts, None, "what was kept of its inputs cannot be read")

    async def differences(self, before: Policy, after: Policy) -> AsyncIterator[tuple[int, Sequence[Changed]]]:
        """Numbers of live tasks looked at, page by page, and what of them would change when they ask next."""
        token = ""
        while True:
            asked, number, token = await self._store.read(lambda tx, at=token: _asked(tx, self._now(), at))  # type: ignore[misc]
            yield number, await asyncio.to_thread(lambda those=asked: list(_changed(before, after, those)))  # type: ignore[misc]
            if not token:
                return

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def _bundle(tx: Transaction, decision: Decision) -> PolicyBundle | str:
    """What it was decided by, or why that cannot be had."""
    try:
        bundle = stored(tx, decision.policy_version) if decision.policy_version else shipped().bundle
    except AssayError as error:
        return error.message
    return bundle if bundle.digest == decision.policy_digest else "the shipped set was another one then"


def _texts(policy: Policy, wanted: Sequence[str]) -> dict[str, str]:
    files = {**policy.bundle.files, "floor.cedar": shipped_text("floor.cedar")}
    found = [each for name in sorted(files) for each in statements(name, files[name])]
    return {one: each.text for one in wanted for each in found if f'@id("{one}")' in each.text}


def _asked(tx: Transaction, now: int, token: str) -> tuple[list[DecisionRequest], int, str]:
    tasks, token = tx.governed.find(TASK, [("state", "active")], Page(_PAGE, token))
    return [request for task in tasks for request in _requests(tx, task, now)], len(tasks), token


def _requests(tx: Transaction, task: Task, now: int) -> Iterator[DecisionRequest]:
    principal = tx.governed.get(PRINCIPAL, task.principal)
    actions = list(actions_of(task.authority))
    facts = facts_of(tx, task, principal, [action for _, action in actions])
    for (resource, _), known in zip(actions, facts, strict=True):
        yield _request(task, principal, known, resource, now)


def _request(task: Task, principal: Principal | None, facts: Facts, audience: str, now: int) -> DecisionRequest:
    """As an instance of it would ask for a credential now, with a key."""
    return DecisionRequest(
        point=Point.ISSUE,
        now=now,
        principal=principal,
        owner=facts.owner,
        instance=task.instance or "any",
        task=task,
        tool=facts.tool,
        resource=facts.resource,
        audience=audience,
        confirmed=True,
        chain=facts.chain,
        steps=facts.steps,
        depth=facts.depth,
        grants=facts.grants,
        customer=facts.customer,
    )


def _changed(before: Policy, after: Policy, asked: Sequence[DecisionRequest]) -> Iterator[Changed]:
    for request in asked:
        old, new = decide(before, request, ""), decide(after, request, "")
        if (old.effect, old.ttl) != (new.effect, new.ttl):
            tool = request.tool.name if request.tool else ""
            yield Changed(old.task_id, old.principal, tool, old, new)
