"""Printing answers: JSON as SPIRE prints it, and its padded labels."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message


def message_dict(message: Message) -> dict[str, object]:
    """A message as SPIRE writes JSON: fields by their proto names, those not set too, 64-bit numbers as text."""
    made: dict[str, object] = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return made


def print_json(value: object) -> None:
    """One line of JSON."""
    typer.echo(json.dumps(value))


def print_message(message: Message) -> None:
    """A message as one line of JSON."""
    print_json(message_dict(message))


def printable(text: str) -> str:
    """Text on one line, without what a terminal would obey: agents and entries bring words of their own."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def print_labelled(rows: Iterable[tuple[str, object]], width: int, *, err: bool = False) -> None:
    """Rows as `label   : value`, labels padded to that width, and an empty line."""
    for label, value in rows:
        typer.echo(f"{label:<{width}}: {printable(str(value))}", err=err)
    typer.echo("", err=err)


def count_of(number: int, one: str, many: str) -> str:
    """A number with its noun, such as `1 entry` or `2 entries`."""
    return f"{number} {one if number == 1 else many}"


def go_time(seconds: int) -> str:
    """Unix seconds as Go prints a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
