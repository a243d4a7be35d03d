"""Bad input to governed identities, from outside: the command line, the agent's socket, and HTTP.

`ROWS` says for each kind of bad input, and for each rule that fails closed, which tests give it and see it refused with
the right error and nothing issued. That these are there is itself a test.
"""

import ast
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from tests.integration.governed.conftest import BOT, Written
from tests.integration.governed.test_tasks import READING, surely

from assay.cli.admin import connect
from assay.crypto.keys import generate, to_pem
from assay.errors import AssayError, FailedPreconditionError, InvalidArgumentError, NotFoundError, PermissionDeniedError
from assay.governed.authority import Access
from assay.keymanager.base import KeyType
from assay.testing.deployment import Deployment
from assay.wire.service import Stub
from assay.workloadapi.tasks import TaskClient
from assay_proto.policy.v1 import policy_pb2
from assay_proto.task.v1 import task_pb2 as pb
from assay_server.datastore.base import Transaction
from assay_server.model.governed.catalogue import RESOURCE, TOOL, ActionClass, Resource, Risk, Sensitivity, Tool
from assay_server.model.governed.principal import PRINCIPAL, ActorType, Principal, PrincipalState

TESTS = Path(__file__).parents[2]
HERE, CALLS = "integration/governed/test_bad_input.py", "unit/server/api/test_calls.py"
HTTP, TOKENS = "unit/server/oauth/test_bad_input.py", "unit/server/oauth/test_token.py"
TASKS, DECIDE = "unit/server/api/test_task.py", "unit/server/policy/test_decide.py"
POLICY_CLI, POLICY_RPC = "unit/server/cli/test_policy.py", "unit/server/api/test_policy.py"

ROWS: Mapping[str, Sequence[tuple[str, str]]] = MappingProxyType(
    {
        "confused deputy": [
            (TOKENS, "test_another_instance_has_nothing_of_the_task"),
            (CALLS, "test_a_guard_asks_about_tokens_for_what_it_guards_and_about_no_others"),
            (TASKS, "test_no_agent_speaks_for_workloads_that_are_not_its_own"),
        ],
        "replay with another key": [
            (HTTP, "test_a_proof_by_another_key_than_it_names_is_refused"),
            (TOKENS, "test_a_dpop_proof_is_taken_once"),
            (TOKENS, "test_a_wit_svid_with_another_key_is_refused"),
            (CALLS, "test_a_guard_that_has_seen_no_proof_of_the_key_is_told_no"),
        ],
        "token for another audience": [
            (HTTP, "test_a_token_is_exchanged_within_its_task_alone"),
            (TOKENS, "test_a_jwt_svid_that_others_may_present_is_refused"),
            (CALLS, "test_a_guard_asks_about_tokens_for_what_it_guards_and_about_no_others"),
        ],
        "alg none or swapped": [
            (HTTP, "test_no_token_is_taken_whose_algorithm_was_taken_away_or_swapped"),
            (HTTP, "test_no_client_is_known_by_an_assertion_that_was_signed_so"),
            (HTTP, "test_no_proof_counts_that_was_signed_so"),
        ],
        "task of another tenant": [
            (HERE, "test_what_is_another_tenants_or_anothers_task_is_out_of_reach"),
            (TOKENS, "test_policy_says_no_in_words_a_person_can_act_on"),
            (CALLS, "test_tenants_are_not_crossed_by_a_call"),
        ],
        "self-asserted environment or instance": [
            (HERE, "test_what_a_workload_says_of_itself_is_no_fact"),
            (HTTP, "test_what_a_client_says_of_itself_is_no_fact"),
            (CALLS, "test_customers_are_whom_others_than_the_workload_said"),
        ],
        "expired task": [
            (TOKENS, "test_a_task_that_is_over_gives_nothing"),
            (HTTP, "test_no_token_lives_a_minute_more_for_a_clock_that_is_off"),
            (CALLS, "test_time_ends_tokens_and_tasks_for_calls_too"),
        ],
        "unlisted tool": [
            (HERE, "test_what_the_principal_has_not_no_task_has"),
            (TOKENS, "test_what_is_asked_for_wrongly_is_refused"),
            (CALLS, "test_an_unlisted_tool_is_refused_and_counts_for_nothing"),
        ],
        "budget races": [
            ("integration/governed/test_calls.py", "test_budgets_are_exact_when_32_calls_are_asked_about_at_once"),
            (HTTP, "test_budgets_are_exact_when_32_come_at_once"),
            (CALLS, "test_budgets_are_exact_under_32_at_once"),
        ],
        "policy with a typo": [
            (POLICY_CLI, "test_a_typo_is_named_with_file_line_and_nearest_name"),
            (HERE, "test_no_policy_is_taken_that_is_wrong_lax_or_old"),
        ],
        "policy set that allows an irreversible tool without a condition": [
            (HERE, "test_no_policy_is_taken_that_is_wrong_lax_or_old"),
            ("unit/server/policy/test_check.py", "test_a_set_that_allows_what_none_may_is_not_taken"),
        ],
        "rolled-back bundle": [
            (HERE, "test_no_policy_is_taken_that_is_wrong_lax_or_old"),
            (
                "unit/server/governance/test_policies.py",
                "test_an_old_bundle_that_is_pushed_again_is_refused_as_rolled_back",
            ),
        ],
        "clock skew of 60 s": [
            (HTTP, "test_clocks_may_differ_by_a_minute_and_no_more"),
            (HTTP, "test_no_token_lives_a_minute_more_for_a_clock_that_is_off"),
            ("unit/server/oauth/test_introspection.py", "test_time_alone_ends_it"),
        ],
        "unknown claims and states": [
            (CALLS, "test_only_an_active_task_permits_a_call"),
            (TOKENS, "test_a_task_that_is_over_gives_nothing"),
            (HTTP, "test_no_proof_counts_that_was_signed_so"),
            (TASKS, "test_bad_requests_leave_nothing"),
        ],
        "a 1 MB intent": [
            (HERE, "test_an_intent_of_a_megabyte_is_refused_at_every_door"),
            (TOKENS, "test_large_and_broken_requests_are_refused"),
        ],
        "fail closed: undefined rule": [(DECIDE, "test_what_no_policy_permits_is_refused")],
        "fail closed: unknown method": [
            ("unit/server/api/test_interceptor.py", "test_a_handler_outside_the_table_is_refused"),
            ("unit/server/api/test_interceptor.py", "test_an_rpc_that_nobody_serves_is_unimplemented"),
        ],
        "fail closed: unknown constraint key": [(TASKS, "test_bad_requests_leave_nothing")],
        "fail closed: policy error": [
            (DECIDE, "test_a_policy_that_fails_refuses"),
            (DECIDE, "test_cedar_passes_over_a_forbid_that_fails_unless_it_has_the_schema"),
        ],
        "fail closed: policy that cannot be read": [
            (POLICY_RPC, "test_a_bundle_that_cannot_be_used_is_said_to_be_so"),
            ("unit/server/governance/test_policies.py", "test_what_is_not_what_was_signed_decides_nothing"),
        ],
        "fail closed: missing input": [(DECIDE, "test_what_is_missing_is_named_and_refused")],
        "fail closed: approval is an input and no bearer grant": [
            (DECIDE, "test_what_is_no_approval_does_not_count"),
            (DECIDE, "test_approval_lifts_what_waits_for_it_and_nothing_else"),
        ],
        "fail closed: token bodies are never logged": [(HERE, "test_neither_tokens_nor_parameters_are_in_any_log")],
        "fail closed: doubts only raise the risk": [
            (CALLS, "test_what_operators_doubt_counts_at_every_point"),
            ("unit/server/policy/test_attributes.py", "test_a_doubt_is_never_made_less"),
        ],
        "fail closed: a task claim is only trusted from our own issuer": [
            (HTTP, "test_no_token_is_taken_whose_algorithm_was_taken_away_or_swapped")
        ],
    }
)


@pytest.mark.parametrize("row", ROWS)
def test_each_row_has_its_tests(row: str) -> None:
    for path, name in ROWS[row]:
        tree = ast.parse((TESTS / path).read_text())
        known = {one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in known, (path, name)


def refused(deployment: Deployment, *words: str) -> str:
    """What a command says that fails."""
    with pytest.raises(subprocess.CalledProcessError) as error:
        deployment.run(*words)
    assert error.value.returncode == 1
    return str(error.value.stderr)


async def test_an_intent_of_a_megabyte_is_refused_at_every_door(governed: Deployment, tmp_path: Path) -> None:
    intent = json.dumps({"goal": "x" * 2**20})
    (tmp_path / "intent.json").write_text(intent)
    asked = ("open", "--intent", str(tmp_path / "intent.json"), "--allow", "https://crm/mcp=crm.read")
    async with TaskClient(governed.api) as client:
        await surely(client.list)
        with pytest.raises(InvalidArgumentError):
            await client.open({"goal": "x" * 2**20}, READING)
        with pytest.raises(InvalidArgumentError):
            await client.open({"goal": "x", "success_criteria": ["y"] * 10_000}, READING)
        assert await client.list() == ()
    by_operator = refused(governed, "task", *asked, "--principal", "bot", "--socket-path", str(governed.admin))
    by_workload = refused(governed, "api", "task", *asked, "--socket-path", str(governed.api))
    assert "intent" in by_operator
    assert "bytes" in by_workload
    assert governed.cli("task", "list")["tasks"] == []


async def test_what_a_workload_says_of_itself_is_no_fact(governed: Deployment) -> None:
    """The intent may say what it likes: policy is asked with what is registered and attested."""
    claimed = {"goal": "x", "environment": "sandbox", "instance": "spiffe://example.test/admin"}
    async with TaskClient(governed.api) as client:
        task = await surely(lambda: client.open(claimed, READING))
        decision = await client.decide("crm.read", task_id=task.id)
    assert (task.message.environment, task.message.tenant) == ("prod", "acme")
    assert task.instance == "spiffe://example.test/principal/bot"
    explained = governed.cli("policy", "explain", decision.decision_id)
    assert "sandbox" not in json.dumps(explained)
    assert "example.test/admin" not in json.dumps(explained)


async def test_what_is_another_tenants_or_anothers_task_is_out_of_reach(governed: Deployment, written: Written) -> None:
    other = Principal(
        "other", ActorType.AI_AGENT, BOT.owner, "answer", "prod", "umbrella", (), Risk.LOW, "acme-4", ("their.read",),
        approvals=(), heartbeat=0, state=PrincipalState.ACTIVE,
    )  # fmt: skip

    def register(tx: Transaction) -> None:
        tx.governed.put(RESOURCE, Resource("https://theirs", "prod", "umbrella", Sensitivity.INTERNAL))
        tx.governed.put(TOOL, Tool("their.read", "https://theirs", ActionClass.CONSEQUENTIAL_READ, Risk.LOW))
        for principal in (other, BOT):
            tools = tuple(dict.fromkeys((*principal.tools, "their.read")))
            tx.governed.put(PRINCIPAL, replace(principal, tools=tools))

    await written(governed, register)
    allowed = ("--allow", "https://theirs=their.read", "--goal", "x")
    theirs = governed.cli("task", "open", "--principal", "other", *allowed)["id"]
    async with TaskClient(governed.api) as client:
        await surely(client.list)
        with pytest.raises(PermissionDeniedError, match="not of tenant"):
            await client.open("x", [Access("https://theirs", ("their.read",))])
        for call in (
            lambda: client.get(theirs),
            lambda: client.complete(theirs),
            lambda: client.decide("their.read", task_id=theirs),
            lambda: client.open("x", READING, parent=theirs),
        ):
            with pytest.raises(NotFoundError, match=f"no task {theirs}"):
                await call()
        with pytest.raises(AssayError):
            await client.credential(theirs, "https://theirs", jkt="A" * 43)
    shown = governed.cli("task", "show", "--id", theirs)
    assert (shown["credentials"], shown["children"], shown["task"]["used"]["calls"]) == ([], [], 0)


async def test_what_the_principal_has_not_no_task_has(governed: Deployment) -> None:
    command = ("task", "open", "--principal", "bot", "--goal", "x", "--socket-path", str(governed.admin))
    assert "crm.refund is no tool" in refused(governed, *command, "--allow", "https://crm/mcp=crm.refund")
    said = refused(governed, *command, "--allow", "https://crm/mcp=crm.read", "--constraint", "surprise=1")
    assert 'constraint "surprise" is not known' in said
    async with TaskClient(governed.api) as client:
        task = await surely(lambda: client.open("x", READING))
        with pytest.raises(PermissionDeniedError, match="not within the task's authority"):
            await client.credential(task.id, "https://crm/mcp", actions=["crm.refund"], jkt="A" * 43)
        with pytest.raises(PermissionDeniedError, match="no authority at that audience"):
            await client.credential(task.id, "", jkt="A" * 43)
        assert (await client.decide("crm.refund", task_id=task.id)).effect == "deny"


async def test_no_policy_is_taken_that_is_wrong_lax_or_old(governed: Deployment, tmp_path: Path) -> None:
    folder, bare, key = tmp_path / "policies", tmp_path / "bare", tmp_path / "key.pem"
    governed.run("policy", "init", str(folder))
    bare.mkdir()
    key.write_bytes(to_pem(generate(KeyType.EC_P256)))

    def push(where: Path) -> tuple[str, ...]:
        return ("policy", "push", str(where), "--socket-path", str(governed.admin))

    lax = "principal.active && context.task.active && context.task.permits && principal.tools.contains(resource.name)"
    for where, rule, said in (
        (folder, 'forbid (principal, action, resource) when { resource.rsk == "high" };', "own.cedar:1: "),
        (folder, 'forbid (principal, action, resource) when { resource.risk == "hihg" };', "hihg"),
        (bare, f"permit (principal is Assay::Workload, action, resource) when {{ {lax} }};", "irreversible"),
    ):
        (where / "own.cedar").write_text(f'@id("x") {rule}')
        assert said in refused(governed, *push(where))
        assert said in refused(governed, "policy", "validate", str(where))
    for name in ("x", "y"):
        rule = f'@id("{name}") forbid (principal, action, resource) when {{ resource.name == "{name}" }};'
        (folder / "own.cedar").write_text(rule)
        governed.run(*push(folder), "--key", str(key))
    with pytest.raises(FailedPreconditionError, match="rolled back: it was signed as version 1"):
        async with connect(governed.admin) as channel:
            policies: Any = Stub(channel, policy_pb2.DESCRIPTOR.services_by_name["Policies"])
            first = await policies.Get(policy_pb2.GetRequest(version=1))
            again = policy_pb2.PushRequest(files=first.files, tests=first.tests, signature=first.signature)
            await policies.Push(again)
    assert [one["live"] for one in governed.cli("policy", "list")["bundles"]] == [False, True]


async def test_neither_tokens_nor_parameters_are_in_any_log(governed: Deployment) -> None:
    async with TaskClient(governed.api) as client:
        task = await surely(lambda: client.open("x", READING))
        issued = await client.credential(task.id, "https://crm/mcp", jkt="A" * 43)
        request = pb.DecideRequest(action="crm.read", task_id=task.id, parameters_json='{"note":"swordfish"}')
        await client.send_decide(request)
    logs = governed.log("server") + governed.log("agent") + json.dumps(governed.cli("task", "show", "--id", task.id))
    assert "swordfish" not in logs
    for part in issued.token.split(".")[1:]:
        assert part not in logs
