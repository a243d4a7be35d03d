"""What the groups `x509`, `jwt` and `wit` share in `mint`: the life that was asked for, and that which was given."""

from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from assay.cli.options import duration
from assay.errors import InvalidArgumentError
from assay.files import write_private

MAX_INT32 = 2**31 - 1
PUBLIC = 0o644

SpiffeIdOption: TypeAlias = Annotated[
    str, typer.Option("--spiffe-id", help="Whose SVID it is, within the server's trust domain.", metavar="ID")
]
TtlOption: TypeAlias = Annotated[
    str, typer.Option(help="How long it is good, such as 30m; the server's default if not given.", metavar="DURATION")
]


def whole_seconds(ttl: str) -> int:
    """The flag's value, rounded up; 0 for the server's default.

    Raises:
        typer.BadParameter: not a duration, negative, or longer than the message can say.
    """
    seconds = ceil(duration(ttl, "--ttl"))
    if seconds > MAX_INT32:
        raise typer.BadParameter(f'"{ttl}" is longer than 68 years', param_hint="--ttl")
    return seconds


def warn_if_capped(what: str, ttl: int, expires_at: int, asked: datetime) -> None:
    """Say so where the server gave less than was asked for: an SVID never outlives the CA that signs it.

    `asked` is when the request was sent, to the same machine; the server cuts the fraction of a second off.
    """
    if expires_at < int(asked.timestamp()) + ttl:
        until = datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        typer.echo(f'{what} lifetime was capped shorter than specified ttl; expires "{until}"', err=True)


def save_private(path: Path, content: bytes) -> None:
    """Write what only this user may read.

    Raises:
        InvalidArgumentError: the folder is not there or not writable.
    """
    try:
        write_private(path, content)
    except OSError as error:
        raise _unwritable(path, error) from None


def save_public(path: Path, content: bytes) -> None:
    """Write what everybody may read.

    Raises:
        InvalidArgumentError: the folder is not there or not writable.
    """
    try:
        path.write_bytes(content)
        path.chmod(PUBLIC)
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> InvalidArgumentError:
    hint = f"make the folder {path.parent} first" if isinstance(error, FileNotFoundError) else ""
    return InvalidArgumentError(f"cannot write {path}: {error.strerror}", hint=hint)
