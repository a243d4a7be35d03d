"""A folder of policies as they are written: *.cedar files, and golden tables in tests.toml."""

from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from assay.crypto.keys import accepted
from assay.errors import AlreadyExistsError, InvalidArgumentError, NotFoundError
from assay.keymanager.base import SigningKey
from assay_server.policy.check import MAX_BYTES
from assay_server.policy.engine import schema_text, shipped

TESTS = "tests.toml"
SCHEMA = "schema.cedarschema"


@dataclass(frozen=True, slots=True)
class Folder:
    """What is in it."""

    files: dict[str, str]
    tests: str


def read_folder(path: Path) -> Folder:
    """The folder.

    Raises:
        NotFoundError: there is none, or no policy in it.
        InvalidArgumentError: a file cannot be read, is too large or no text.
    """
    if not path.is_dir():
        raise NotFoundError(f"{path} is no folder", hint=f"`assay policy init {path}` makes one to start from")
    names = sorted(each for each in path.iterdir() if each.suffix == ".cedar")
    if not names:
        raise NotFoundError(f"there is no .cedar file in {path}", hint=f"`assay policy init {path}` writes one")
    tests = path / TESTS
    return Folder({each.name: _text(each) for each in names}, _text(tests) if tests.exists() else "")


def write_folder(path: Path) -> list[str]:
    """Start a folder with the shipped set, its tests and the schema; the names of what was written.

    Raises:
        AlreadyExistsError: it has one of these files already.
    """
    bundle = shipped().bundle
    contents = {**bundle.files, TESTS: bundle.tests, SCHEMA: schema_text()}
    if taken := [name for name in contents if (path / name).exists()]:
        raise AlreadyExistsError(f"{path} has {', '.join(taken)} already", hint="name a new folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            (path / name).write_text(text)
    except OSError as error:
        raise InvalidArgumentError(f"could not write to {path}: {error.strerror or error}") from None
    return list(contents)


def read_key(path: Path) -> SigningKey:
    """A private key (PEM, not encrypted).

    Raises:
        InvalidArgumentError: it is none of a kind that signs. The text never has key material.
    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise InvalidArgumentError(f"could not read {path}: {error.strerror or error}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise InvalidArgumentError(f"{path} is no private key in PEM without a password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise InvalidArgumentError(f"{path} is neither an EC nor an RSA key")
    accepted(key.public_key())
    return key


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InvalidArgumentError(f"{path} has more than {MAX_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidArgumentError(f"could not read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InvalidArgumentError(f"{path} is not UTF-8") from None
