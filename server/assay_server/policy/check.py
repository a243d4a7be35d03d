"""Whether a set may decide: that each policy parses, speaks of what exists, and stays above the floor."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cedarpy import pst

from assay.errors import InvalidArgumentError
from assay_server.policy.cedar import complaints
from assay_server.policy.engine import floor_rules, rules_of, schema
from assay_server.policy.floor import breaches
from assay_server.policy.rule import ANNOTATIONS, Rule
from assay_server.policy.source import Statement, statements
from assay_server.policy.vocabulary import WORDS, names, nearest, strangers, walk

MAX_POLICIES = 5000
MAX_BYTES = 2_000_000
_SUFFIX = ".cedar"

_QUOTED = re.compile(r"`([^`]*)`")
# Cedar says it of every action that a policy is for; once is enough.
_OF_ACTION = re.compile(r' in context for Assay::Action::"[a-z:]+"')
_OF_POLICY = re.compile(r"^for policy `[^`]*`, ")
_NOTHING_APPLIES = "unable to find an applicable action given the policy scope constraints"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a line of a file (0: of all of it), and what to do."""

    file: str
    line: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """As compilers print it."""
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.message}" + (f"; {self.hint}" if self.hint else "")


def faults_of(files: Mapping[str, str]) -> list[Fault]:
    """All that is wrong with these policy files (texts by name); the floor is looked at when nothing else is."""
    if sum(map(len, files.values())) > MAX_BYTES:
        return [Fault("", 0, f"more than {MAX_BYTES} characters of policies")]
    wrong = [Fault(name, 0, f"is no {_SUFFIX} file") for name in sorted(files) if not name.endswith(_SUFFIX)]
    found = [each for name in sorted(files) for each in statements(name, files[name])]
    if not found:
        return [*wrong, Fault("", 0, "there is no policy", "start from `assay policy init DIR`")]
    if len(found) > MAX_POLICIES:
        return [Fault("", 0, f"{len(found)} policies; {MAX_POLICIES} at most")]
    read = [(each, _read(each)) for each in found]
    wrong += [fault for _, (_, faults) in read for fault in faults]
    rules = [(each, rule) for each, (rule, _) in read if rule is not None]
    wrong += _repeated(rules)
    return wrong or _below(rules)


def checked(files: Mapping[str, str]) -> None:
    """Raises InvalidArgumentError with all that is wrong with these files."""
    if wrong := faults_of(files):
        raise InvalidArgumentError("\n".join(map(str, wrong)), hint="`assay policy validate DIR` says the same")


def _read(statement: Statement) -> tuple[Rule | None, list[Fault]]:
    try:
        found = rules_of(statement.text)
    except InvalidArgumentError as error:
        message = error.message.removeprefix("policy does not parse: ")
        hint = "" if message != error.message else error.hint or _annotation_hint(message)
        return None, [Fault(statement.file, statement.line_of(_word(message)), message, hint)]
    if len(found) != 1:
        return None, [Fault(statement.file, statement.line, "is no policy")]
    rule = found[0]
    return rule, [*_invalid(statement), *_mixed(statement, rule), *_strange(statement, rule)]


def _invalid(statement: Statement) -> Iterator[Fault]:
    """What Cedar's validator says, each thing once."""
    said: dict[str, None] = {}
    for error in complaints(statement.text, schema()):
        said[_OF_ACTION.sub(" in context", _OF_POLICY.sub("", error))] = None
    if len(said) > 1:
        said.pop(_NOTHING_APPLIES, None)  # which is only a consequence
    for message in said:
        word = _word(message)
        yield Fault(statement.file, statement.line_of(word), message, nearest(word, names()) or _hint_of(message))


def _hint_of(message: str) -> str:
    if message == _NOTHING_APPLIES:
        return "no principal, action and resource are of these types at once: grants of humans are no workload's"
    if "unsafe" in message or "may not be present" in message or "optional" in message:
        return "ask first: context has approval && ..."
    return ""


def _mixed(statement: Statement, rule: Rule) -> Iterator[Fault]:
    """Humans' and machines' privileges have boundaries of their own; `in` would validate and never hold."""
    kinds = {each.type.basename for each in pst.entity_uids(rule.template)}
    scope = rule.template.principal
    kind = scope.entity_type.basename if isinstance(scope, pst.ScopeIs | pst.ScopeIsIn) else ""
    if isinstance(scope, pst.ScopeEq) and isinstance(scope.entity, pst.EntityUid):
        kind = scope.entity.type.basename
    kinds |= {each.entity_type.basename for each in walk(rule.template.clauses) if isinstance(each, pst.Is)} | {kind}
    machine, human = {"MachineGrant", "Workload"} & kinds, {"HumanGrant", "Human"} & kinds
    if ("HumanGrant" in human and machine) or ("MachineGrant" in machine and human):
        line = statement.line_of("HumanGrant" if "HumanGrant" in human else "MachineGrant")
        message = f"mixes {' and '.join(sorted(machine | human))}: privileges of humans and machines are separate"
        yield Fault(statement.file, line, message, "write a rule for each")


def _strange(statement: Statement, rule: Rule) -> Iterator[Fault]:
    for attribute, word in strangers(rule.template):
        known = WORDS[attribute]
        hint = nearest(word, known) or f"it is one of {', '.join(known)}"
        yield Fault(statement.file, statement.line_of(f'"{word}"'), f'{attribute} is never "{word}"', hint)


def _repeated(rules: Sequence[tuple[Statement, Rule]]) -> Iterator[Fault]:
    taken = {rule.policy_id: "the floor" for rule in floor_rules()}
    for statement, rule in rules:
        if rule.policy_id in taken:
            where = taken[rule.policy_id]
            message = f'@id("{rule.policy_id}") is taken by {where}'
            yield Fault(statement.file, statement.line, message, "give it a name of its own")
        taken[rule.policy_id] = f"{statement.file}:{statement.line}"


def _below(rules: Sequence[tuple[Statement, Rule]]) -> list[Fault]:
    """Where the set by itself would allow what none may: each policy with the first such thing."""
    where = {rule.policy_id: statement for statement, rule in rules}
    found: dict[str, Fault] = {}
    for breach in breaches([rule for _, rule in rules]):
        for policy_id in breach.policies:
            at = where[policy_id]
            message = f'"{policy_id}" allows {breach.what}'
            found.setdefault(policy_id, Fault(at.file, at.line, message, breach.hint))
    return list(found.values())


def _word(message: str) -> str:
    found = _QUOTED.search(message)
    if found:
        return found[1].rpartition('"')[0].rpartition('"')[2] or found[1].removeprefix("Assay::")
    return "@" + message.partition("@")[2].split(" ")[0].split("(")[0].rstrip(":") if "@" in message else ""


def _annotation_hint(message: str) -> str:
    return nearest(_word(message).removeprefix("@"), ANNOTATIONS) if message.startswith("annotation") else ""
