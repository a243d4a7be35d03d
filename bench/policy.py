"""What a decision adds to the engine beneath it: `decide` beside the bare question to Cedar, everything parsed before.

`python -m bench policy`. The bare question has the same policies, entities and schema as handles, and gives allowed or
not; a decision also builds the question from the model, works out the TTL, and says why.
"""

import json
from collections.abc import Callable, Iterator

import cedarpy

from assay_server.model.governed.decision import DecisionRequest
from assay_server.model.governed.policybundle import PolicyBundle
from assay_server.policy.decide import decide
from assay_server.policy.engine import SCHEMA_VERSION, Policy, compiled, schema, shipped
from assay_server.policy.inputs import inputs_of
from assay_server.policy.sample import request_of
from bench.figure import Bare, Figure, best

# Many short rounds: one of them finds the machine quiet.
COUNT, ROUNDS = 16, 120
MANY = 1000


def large() -> Policy:
    """The shipped set and a thousand rules, each about a tool of its own."""
    rules = "\n".join(
        f'@id("t{n}") forbid (principal, action, resource == Assay::Tool::"t{n}")'
        f" when {{ context.riskScore > {n % 90} }};"
        for n in range(MANY)
    )
    return compiled(PolicyBundle(1, "", SCHEMA_VERSION, {**shipped().bundle.files, "tools.cedar": rules}))


def bare(policy: Policy, request: DecisionRequest) -> Bare:
    inputs = inputs_of(request)
    question, asked = inputs["question"], (inputs["actor_type"], inputs["question"]["principal"]["id"])
    policies = policy.slices.of("Workload", *asked, request.point.value, inputs["tool"], asking=True)
    entities = cedarpy.Entities.from_json_str(json.dumps(inputs["entities"]), schema())
    cpu = best(lambda: cedarpy.is_authorized(question, policies, entities, schema()), COUNT, ROUNDS)
    return Bare("question to Cedar", cpu)


def figures() -> Iterator[Figure]:
    policy, many = shipped(), large()
    clean = request_of("credential:issue", {})
    risky = request_of("credential:issue", {"tool": {"risk": "high"}})
    one = request_of("credential:issue", {"tool": {"name": "t7"}})
    floor, its = bare(policy, clean), bare(many, one)
    works: dict[str, tuple[Callable[[], object], Bare]] = {
        "decision: allowed": (lambda: decide(policy, clean, "dec_1"), floor),
        "decision: waits for approval, two questions": (lambda: decide(policy, risky, "dec_1"), floor),
        f"decision: allowed by {MANY} more policies": (lambda: decide(many, one, "dec_1"), its),
    }
    for name, (work, against) in works.items():
        cpu = best(work, COUNT, ROUNDS)
        yield Figure(name, 1e6 / cpu, cpu, against.name, against.cpu)
