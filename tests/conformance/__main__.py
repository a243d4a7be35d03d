"""Write docs/conformance.md; with --check only say what is wrong with it, the list or the tests."""

import sys
from pathlib import Path

from tests.conformance import citation, page, reading, verdict

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "conformance.md"


def main(arguments: list[str], *, folder: Path = HERE, tests: Path = HERE.parent, written: Path = PAGE) -> int:
    """Write, or check; 1 when the list is malformed or --check finds a fault."""
    try:
        conformance = reading.load(folder)
    except reading.MalformedListError as error:
        return _said([str(error)])
    citations = citation.collect(tests)
    fresh = page.rendered(conformance, citations)
    if "--check" not in arguments:
        written.write_text(fresh, encoding="utf-8")
        return 0
    stale = not written.exists() or written.read_text(encoding="utf-8") != fresh
    found = list(verdict.faults(conformance, citations))
    return _said([*found, "docs/conformance.md is stale, run `make docs`"] if stale else found)


def _said(faults: list[str]) -> int:
    """1 if there are any."""
    for fault in faults:
        print(fault, file=sys.stderr)  # noqa: T201 - a script's answer
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
