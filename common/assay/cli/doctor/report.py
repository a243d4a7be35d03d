"""What was found, for people and as JSON."""

from collections import Counter
from collections.abc import Sequence

import typer

from assay.cli.doctor.finding import Finding, Status
from assay.cli.output import printable

_COLOURS = {
    Status.OK: typer.colors.GREEN,
    Status.WARNING: typer.colors.YELLOW,
    Status.FAILED: typer.colors.RED,
    Status.SKIPPED: typer.colors.BRIGHT_BLACK,
}
_WIDTH = max(map(len, Status))


def print_report(findings: Sequence[Finding]) -> None:
    """A line for each check, below it what to do next, and the sum."""
    for one in findings:
        status = typer.style(f"{one.status:<{_WIDTH}}", fg=_COLOURS[one.status])
        typer.echo(f"{status}  {one.check}: {printable(one.seen)}")
        if one.advice:
            typer.echo(f"{'':<{_WIDTH}}  -> {printable(one.advice)}")
    counts = Counter(one.status for one in findings)
    typer.echo("\n" + ", ".join(f"{counts[status]} {status}" for status in Status))


def report_dict(findings: Sequence[Finding]) -> dict[str, object]:
    """`healthy` is whether nothing failed."""
    return {
        "healthy": not any(one.failed for one in findings),
        "checks": [
            {"check": one.check, "status": one.status.value, "seen": one.seen, "advice": one.advice} for one in findings
        ],
    }
