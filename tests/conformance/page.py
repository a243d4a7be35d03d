"""docs/conformance.md: every requirement with the tests that show it, or the reason why none does."""

from collections.abc import Iterator, Mapping, Sequence

from tests.conformance.citation import Citation
from tests.conformance.requirement import KINDS, STATUSES, Conformance, Deviation, Requirement, Standard
from tests.conformance.verdict import NO_TEST, by_id

TESTS = "../tests"
HEAD = """\
# Conformance

<!-- Written by `make docs` from tests/conformance and the marks on the tests; not to be edited by hand. -->

Every requirement of the [SPIFFE standards](https://github.com/spiffe/spiffe/tree/main/standards), in our words, with
the tests that show it or the reason why there is none. Where a row and the standard differ, the standard is right.
`make check` fails when a row has neither.

- An id is standard, section and letter. A star marks a level that the standard states as plain fact.
- A NOT says that what follows must, or should, not be so.
- **partly**: what exists is tested, the rest is not there. **later**: not there yet. **never**: nothing that a test
  could show, for the reason given.

[Deviations](#deviations), at the end, says where Assay and SPIRE differ, and what was decided where the standards
leave a choice.
"""


def rendered(conformance: Conformance, citations: Sequence[Citation]) -> str:
    """The whole page."""
    cited = by_id(citations)
    parts = [HEAD, "\n".join(_overview(conformance, cited)), "\n".join(_plans(conformance.plans))]
    parts += ["\n".join(_standard(standard, conformance.plans, cited)) for standard in conformance.standards]
    parts += ["\n".join(_deviations(conformance.deviations))]
    return "\n".join(parts)


def _overview(conformance: Conformance, cited: Mapping[str, Sequence[Citation]]) -> Iterator[str]:
    """How many rows of each standard are where."""
    yield "| standard | rows | tested | partly | later | never | tests |\n|---|---|---|---|---|---|---|"
    for one in conformance.standards:
        count = {status: sum(row.status == status for row in one.requirements) for status in STATUSES}
        tested = sum(not row.status and row.id in cited for row in one.requirements)
        tests = {str(test) for row in one.requirements for test in cited.get(row.id, ())}
        cells = (f"[{one.title}](#{_anchor(one.title)})", len(one.requirements), tested, *count.values(), len(tests))
        yield f"| {' | '.join(str(cell) for cell in cells)} |"
    yield ""


def _plans(plans: Mapping[str, str]) -> Iterator[str]:
    """What rows wait for."""
    yield "What *later* waits for:\n"
    yield from (f"- **{name}**: {text}" for name, text in plans.items())
    yield ""


def _standard(one: Standard, plans: Mapping[str, str], cited: Mapping[str, Sequence[Citation]]) -> Iterator[str]:
    """The table of one standard."""
    yield f"## {one.title}\n"
    yield f"{one.document}, {one.stability}.\n"
    yield "| id | level | requirement | whom it concerns | tests, or why none |\n|---|---|---|---|---|"
    for row in one.requirements:
        shown = "<br>".join([*_reason(row, plans), *(_link(test) for test in cited.get(row.id, ()))]) or NO_TEST
        yield f"| {row.id} | {row.level} | {row.text} | {', '.join(row.who)} | {shown} |"
    yield ""


def _reason(row: Requirement, plans: Mapping[str, str]) -> Iterator[str]:
    """What the row itself says of its tests."""
    if row.status:
        yield f"**{row.status}**: {plans[row.reason] if row.status == 'later' else row.reason}"


def _link(test: Citation) -> str:
    shown = f"{test.file.rpartition('/')[2]}::{test.name}" if test.name else test.file.rpartition("/")[2]
    return f"[{shown}]({TESTS}/{test.file})"


def _anchor(title: str) -> str:
    """The name of a heading, as hosts of Markdown make it."""
    return "".join(one for one in title.lower().replace(" ", "-") if one.isalnum() or one in "-_")


def _deviations(deviations: Sequence[Deviation]) -> Iterator[str]:
    """One table for each kind."""
    yield "## Deviations\n"
    for kind, title in KINDS.items():
        yield f"### {title}\n"
        yield "| what | why | rows |\n|---|---|---|"
        yield from (f"| {one.what} | {one.why} | {', '.join(one.rows)} |" for one in deviations if one.kind == kind)
        yield ""
