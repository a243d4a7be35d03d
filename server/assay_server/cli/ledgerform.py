"""How records, checkpoints and verdicts are printed."""

import json
from collections.abc import Sequence
from typing import Any

import typer

from assay.cli.options import Output
from assay.cli.output import count_of, go_time, message_dict, print_json, printable
from assay.ledger.verification import Verdict
from assay_proto.ledger.v1 import ledger_pb2 as pb


def print_records(records: Sequence[str], output: Output) -> None:
    """Records in lines; as JSON each on a line of its own, as an export has them."""
    for text in records:
        if output is Output.JSON:
            typer.echo(text)
            continue
        record: dict[str, Any] = json.loads(text)
        about = f"{record['type']:<20} {record['subject']}  by {record['actor']}"
        told = json.dumps(record["details"], ensure_ascii=False)
        typer.echo(printable(f"{record['number']:>7} {go_time(record['at'])}  {about}  {told}"))


def print_checkpoints(checkpoints: Sequence[pb.Checkpoint], output: Output) -> None:
    """Checkpoints, oldest first."""
    if output is Output.JSON:
        print_json({"checkpoints": [message_dict(one) for one in checkpoints]})
        return
    typer.echo(f"Found {count_of(len(checkpoints), 'checkpoint', 'checkpoints')}")
    for one in checkpoints:
        typer.echo(f"{one.number:>7} {go_time(one.at)}  {printable(one.token)}")


def print_verdict(verdict: Verdict, output: Output) -> None:
    """What was found, in a sentence or as JSON."""
    print_json(_told(verdict)) if output is Output.JSON else typer.echo(
        printable(_sentence(verdict)), err=_bad(verdict)
    )


def _bad(verdict: Verdict) -> bool:
    return verdict.fault is not None


def _sentence(verdict: Verdict) -> str:
    records = count_of(verdict.records, "record", "records")
    if verdict.fault is not None:
        return f"Error: {verdict.fault.kind.value.replace('_', ' ')}: {verdict.fault.text}"
    if verdict.header.part:
        of = ", ".join(f"{name} {value}" for name, value in verdict.header.part.items())
        return f"A part of the ledger ({of}): {records}, each as it was written. Whether one is missing cannot be told."
    if not verdict.records:
        return f"Verified: nothing behind record {verdict.last} of {verdict.header.trust_domain}."
    signed = count_of(verdict.checkpoints, "checkpoint", "checkpoints")
    span = f"{verdict.first} to {verdict.last} of {verdict.header.trust_domain}"
    return f"Verified: {records}, {span}, {signed}, the last of {go_time(verdict.signed_at)}."


def _told(verdict: Verdict) -> dict[str, object]:
    fault, header = verdict.fault, verdict.header
    return {
        "verified": verdict.whole,
        "trust_domain": header.trust_domain,
        "incarnation": header.incarnation,
        "first": verdict.first,
        "last": verdict.last,
        "records": verdict.records,
        "head": verdict.head,
        "checkpoints": verdict.checkpoints,
        "signed_at": verdict.signed_at,
        "part": dict(header.part),
        "fault": None
        if fault is None
        else {"kind": fault.kind.value, "record": fault.record, "line": fault.line, "message": fault.text},
    }
