"""What `assay ledger verify` reads: exports, public keys, checkpoints that were kept."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from assay.bundle import jwk
from assay.bundle.strictjson import parse_object
from assay.crypto.keys import PublicKey, accepted
from assay.errors import InvalidArgumentError, prefixed
from assay.ledger.checkpoint import CheckpointKeys
from assay.ledger.export import MAX_LINE

_MAX_FILE = 1 << 20


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of an export, one after another; `-` is standard input.

    Raises:
        InvalidArgumentError: it cannot be read.
    """
    try:
        with nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb") as file:
            yield from _lines(cast("BinaryIO", file))
    except OSError as error:
        raise InvalidArgumentError(f"could not read {path}: {error.strerror or error}") from None


def keys_of(paths: list[Path]) -> CheckpointKeys:
    """The keys in these files, each a JWK Set or a public key in PEM.

    Raises:
        InvalidArgumentError: one cannot be read, or has no key.
    """
    return CheckpointKeys([key for path in paths for key in _keys(path, _text(path))])


def tokens_of(paths: list[Path]) -> tuple[str, ...]:
    """The checkpoints in these files, one a line."""
    return tuple(line.strip() for path in paths for line in _text(path).splitlines() if line.strip())


def _lines(file: BinaryIO) -> Iterator[bytes]:
    # One more than a line may have, so that it is seen; without a bound one line could be all of the file.
    while line := file.readline(MAX_LINE + 1):
        yield line


def _keys(path: Path, text: str) -> list[PublicKey]:
    try:
        if text.lstrip().startswith("-----"):
            return [accepted(load_pem_public_key(text.encode()))]
        with prefixed(str(path)):
            return _from_jwks(text)
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidArgumentError(f"{path} is no public key in PEM") from None


def _from_jwks(text: str) -> list[PublicKey]:
    members = parse_object(text, "JWK Set")
    listed = members.get("keys", [members])
    given = cast("list[object]", listed) if isinstance(listed, list) else []
    # What is of another type is for something else: the endpoint's set has keys of all kinds.
    sought = [cast("dict[str, object]", each) for each in given if isinstance(each, dict)]
    found = [jwk.parse(each) for each in sought if each.get("kty") in {"EC", "RSA"}]
    if not found:
        raise InvalidArgumentError("JWK Set has no key", hint="`assay ledger key` prints the ledger's")
    return found


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_FILE).decode()
    except OSError as error:
        raise InvalidArgumentError(f"could not read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InvalidArgumentError(f"{path} is not text") from None
