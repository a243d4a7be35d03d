"""What is wrong between the list of requirements and the tests."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tests.conformance.citation import Citation
from tests.conformance.requirement import Conformance, Requirement

NO_TEST = "has neither a test nor a reason why there is none"


def faults(conformance: Conformance, citations: Sequence[Citation]) -> Iterator[str]:
    """Each fault as a line."""
    cited = by_id(citations)
    known = {row.id for row in conformance.requirements()}
    for citation in citations:
        if citation.fault:
            yield f"{citation} cites {citation.id}: {citation.fault}"
        elif citation.id not in known:
            yield f"{citation} cites {citation.id}: the list has no such row"
    for row in conformance.requirements():
        if fault := _fault(row, cited.get(row.id, ())):
            yield f"{row.id} {fault}"
    for deviation in conformance.deviations:
        for stranger in sorted(set(deviation.rows) - known):
            yield f"a deviation names {stranger}: the list has no such row"


def by_id(citations: Sequence[Citation]) -> Mapping[str, Sequence[Citation]]:
    """The citations that count, of each id."""
    found: dict[str, list[Citation]] = defaultdict(list)
    for citation in citations:
        if not citation.fault:
            found[citation.id].append(citation)
    return found


def _fault(row: Requirement, tests: Sequence[Citation]) -> str:
    """What is wrong with one row."""
    if not tests and row.status in {"", "partly"}:
        return NO_TEST if not row.status else "is said to be tested in part, but no test cites it"
    if tests and row.status in {"later", "never"}:
        return f"is said to have no test ({row.status}), but {tests[0]} cites it: drop the reason, or say `partly`"
    return ""
