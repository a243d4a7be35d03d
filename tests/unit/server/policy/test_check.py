"""What is wrong with policies is said by file and line, with the nearest name."""

import pytest

from assay.errors import InvalidArgumentError
from assay_server.policy import check
from assay_server.policy.check import checked, faults_of
from assay_server.policy.engine import shipped, shipped_text

SAFE = "principal.active && principal.tools.contains(resource.name) && context.task.active && context.task.permits"
CAREFUL = '!["irreversible", "external_commitment", "privileged_administration"].contains(resource.actionClass)'


def faults(text: str) -> list[str]:
    return [str(fault) for fault in faults_of({"own.cedar": text})]


def test_the_shipped_set_is_valid() -> None:
    assert faults_of(shipped().bundle.files) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            '@id("x")\nforbid (principal, action, resource)\nwhen { context.riskScroe > 1 };',
            "own.cedar:3: attribute `riskScroe` in context not found; did you mean riskScore?",
        ),
        (
            (
                '// one; "two\n\n@id("x") forbid (principal is Assay::Workload, action, resource)\nwhen {\n'
                '  principal.actortype == "ai_agent"\n};'
            ),
            "own.cedar:5: attribute `actortype` on entity type `Assay::Workload` not found; did you mean actorType?",
        ),
        (
            '@id("x") forbid (principal is Assay::Worklod, action, resource);',
            "own.cedar:1: unrecognized entity type `Assay::Worklod`; did you mean Assay::Workload?",
        ),
        (
            '@id("x") forbid (principal, action == Assay::Action::"tool:cal", resource);',
            'own.cedar:1: unrecognized action `Assay::Action::"tool:cal"`; did you mean tool:call?',
        ),
        (
            '@id("x") forbid (principal, action, resource) when {\n resource.risk == "hihg" };',
            'own.cedar:2: risk is never "hihg"; did you mean high?',
        ),
        (
            '@id("x") forbid (principal, action, resource) when { ["irreversable"].contains(resource.actionClass) };',
            'own.cedar:1: actionClass is never "irreversable"; did you mean irreversible?',
        ),
        (
            '@id("x") forbid (principal, action, resource) when { resource.risk == 5 };',
            "own.cedar:1: the types Long and String are not compatible",
        ),
        (
            '@id("x") forbid (principal, action, resource) when { resource.risk = "high" };',
            "own.cedar:1: '=' is not a valid operator in Cedar",
        ),
        (
            '@id("x") forbid (principal, action, resource);\n@id("y") forbid (principal, action resource);',
            "own.cedar:2: unexpected token `resource`",
        ),
        ('@id("x") forbid (principal', "own.cedar:1: unexpected end of input"),
        ("forbid (principal, action, resource);", "own.cedar:1: policy without @id"),
        ('@id("a b") forbid (principal, action, resource);', 'own.cedar:1: @id("a b") is no name'),
        (
            '@id("x")\n@max_tll("5m")\nforbid (principal, action, resource);',
            "own.cedar:2: annotation @max_tll is not known; did you mean max_ttl?",
        ),
        ('@id("x") @max_ttl("5 min") permit (principal, action, resource);', 'own.cedar:1: @max_ttl: "5 min" is not'),
        ('@id("x") @max_ttl("0s") permit (principal, action, resource);', 'own.cedar:1: @max_ttl("0s") leaves no time'),
        ('@id("x") @max_ttl("5m") forbid (principal, action, resource);', "own.cedar:1: @max_ttl is for permit"),
        ('@id("x") @requires("ok") forbid (principal, action, resource);', 'own.cedar:1: @requires("ok") is not known'),
        (
            '@id("x") @requires("human_approval") permit (principal, action, resource);',
            "own.cedar:1: @requires is for forbid",
        ),
        (
            '@id("x") forbid (principal, action, resource);\n@id("x") forbid (principal, action, resource);',
            'own.cedar:2: @id("x") is taken by own.cedar:1',
        ),
        ('@id("task-not-active") forbid (principal, action, resource);', "is taken by the floor"),
        ('@id("x") forbid (principal == ?principal, action, resource);', "own.cedar:1: policy has a slot"),
        (
            '@id("x") forbid (principal, action, resource) when { context.approval.by == principal.owner };',
            "own.cedar:1: unable to guarantee safety of access to optional attribute `approval` in context; ask first",
        ),
        ("// nothing", ": there is no policy"),
    ],
)
def test_a_fault_is_named_with_its_line(text: str, fault: str) -> None:
    (found,) = faults(text)
    assert fault in found


@pytest.mark.parametrize(
    "rule",
    [
        'forbid (principal is Assay::Workload in Assay::HumanGrant::"admin", action, resource)',
        'forbid (principal is Assay::Human in Assay::MachineGrant::"x", action, resource)',
        'forbid (principal is Assay::Workload, action, resource) when { principal in Assay::HumanGrant::"admin" }',
        (
            "forbid (principal is Assay::Workload, action, resource)"
            ' when { principal.grants.contains(Assay::HumanGrant::"admin") }'
        ),
        (
            "forbid (principal, action, resource)"
            ' when { principal in Assay::HumanGrant::"admin" || principal in Assay::MachineGrant::"admin" }'
        ),
        (
            "forbid (principal, action, resource)"
            ' when { principal is Assay::Workload && principal in Assay::HumanGrant::"admin" }'
        ),
        'forbid (principal == Assay::Workload::"bot", action, resource) when { principal in Assay::HumanGrant::"x" }',
    ],
)
def test_privileges_of_humans_and_machines_are_not_mixed(rule: str) -> None:
    """Requirements 45 and 46."""
    assert any("mixes" in fault for fault in faults(f'@id("x") {rule};'))


def test_rules_of_one_kind_of_grants_are_fine() -> None:
    text = """
        @id("a") forbid (principal is Assay::Human in Assay::HumanGrant::"admin", action, resource);
        @id("b") forbid (principal is Assay::Workload, action, resource)
        when { principal in Assay::MachineGrant::"deployer" };
        @id("c") forbid (principal, action, resource) when { principal in Assay::HumanGrant::"admin" };
    """
    assert faults(text) == []


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ("permit (principal, action, resource)", "irreversible tools without approval"),
        (f"permit (principal, action, resource) when {{ {SAFE} }}", "irreversible tools without approval"),
        (
            (
                f'permit (principal, action, resource == Assay::Tool::"db.drop") when {{ {SAFE} &&'
                ' principal.purpose == "clean up" && context.task.trigger == "event" && context.riskScore >= 5 }'
            ),
            "irreversible tools without approval",
        ),
        (
            (
                f'permit (principal is Assay::Workload in Assay::MachineGrant::"x", action, resource) when {{ {SAFE} &&'
                ' ["high"].contains(resource.risk) && !context.confirmed && resource.dataClasses.contains("pii") }'
            ),
            "irreversible tools without approval",
        ),
        (
            f"permit (principal, action, resource) when {{ {SAFE} && context has approval }}",
            "irreversible tools by an approval that is over",
        ),
        (
            (
                f"permit (principal, action, resource) when {{ {SAFE} && context has approval &&"
                " context.now < context.approval.until }"
            ),
            "irreversible tools by an approval of other parameters",
        ),
        (f"permit (principal, action, resource) when {{ {CAREFUL} }}", "a principal that is staged"),
        (
            f'permit (principal, action, resource) when {{ {CAREFUL} && principal.state == "active" }}',
            "a principal whose owner left",
        ),
        (
            f"permit (principal, action, resource) when {{ {CAREFUL} && principal.active }}",
            "a task that is completed",
        ),
        (
            (
                f"permit (principal, action, resource) when {{ {CAREFUL} && principal.active &&"
                ' context.task.state == "active" }'
            ),
            "a task whose end has come",
        ),
        (
            f"permit (principal, action, resource) when {{ {CAREFUL} && principal.active && context.task.active }}",
            "a tool that is not the task's",
        ),
        (
            (
                f"permit (principal, action, resource) when {{ {CAREFUL} && principal.active && context.task.active &&"
                " context.task.permits }"
            ),
            "a tool that is not the principal's",
        ),
    ],
)
def test_a_set_that_allows_what_none_may_is_not_taken(rule: str, what: str) -> None:
    (found,) = faults(f'\n@id("loose") {rule};')
    assert found.startswith(f'own.cedar:2: "loose" allows {what}; ')


def test_a_set_above_the_floor_is_taken() -> None:
    assert faults(f'@id("a") permit (principal, action, resource) when {{ {SAFE} && {CAREFUL} }};') == []
    assert faults(f'@id("a") permit (principal, action, resource) when {{ {SAFE} && context.approved }};') == []
    lifted = f'@id("a") permit (principal, action, resource) when {{ {SAFE} }};\n'
    forbid = f'@id("b") forbid (principal, action, resource) when {{ !({CAREFUL}) }} unless {{ context.approved }};'
    assert faults(lifted + forbid) == []


def test_all_that_is_wrong_is_refused_at_once() -> None:
    text = (
        '@id("x") forbid (principal, action, resource) when { context.a > 1 };\nforbid (principal, action, resource);'
    )
    with pytest.raises(InvalidArgumentError) as refused:
        checked({"one.cedar": text, "two.txt": ""})
    assert len(refused.value.message.splitlines()) == 3


def test_a_set_has_its_bounds() -> None:
    assert faults("x" * (check.MAX_BYTES + 1)) == [f": more than {check.MAX_BYTES} characters of policies"]
    many = "".join(f'@id("r{n}") forbid (principal, action, resource);' for n in range(check.MAX_POLICIES + 1))
    assert faults(many) == [f": {check.MAX_POLICIES + 1} policies; {check.MAX_POLICIES} at most"]


def test_every_rule_that_is_shipped_has_a_case() -> None:
    tests = shipped_text("tests.toml")
    named = {*shipped().rules} - {
        "principal-not-active", "task-of-another", "not-in-the-task", "not-a-tool-of-the-principal", "other-audience",
        "grave-actions-need-approval", "irreversible-needs-approval", "principal-wants-approval",
    }  # fmt: skip
    assert [name for name in sorted(named) if f'"{name}"' not in tests] == []
