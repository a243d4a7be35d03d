"""SVIDs in files, for programs that read their certificates from disk.

Below `directory`, `NAME` is a link to a folder that holds one SVID whole: svid.pem, svid.key, bundle.pem, and a
federated_bundle.DOMAIN.pem for each trust domain that the entry federates with. The next SVID comes in a new folder, to
which the link is moved in one step, so that certificate and key fit together at every moment, a crash included.
"""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

from assay.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError
from assay.files import sync_folder, write_private
from assay.plugin.svidstore import StoredSvid

KEY = "svid.key"
FOLDER_MODE = 0o755
PUBLIC_MODE = 0o644

# One part of a path, and room for what is added to it.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MAX_ID = 2**32 - 2


@dataclass(frozen=True, slots=True)
class Target:
    """What an entry's selectors say: `disk:name:NAME`, and whose the files are, if not the agent's user's."""

    name: str
    uid: int = -1
    gid: int = -1

    @classmethod
    def parse(cls, values: Sequence[str]) -> "Target":
        """From the selectors' values.

        Raises:
            InvalidArgumentError: no name or one that is no file's, something unknown, or something twice.
        """
        given: dict[str, str] = {}
        for value in values:
            key, _, rest = value.partition(":")
            if key not in {"name", "uid", "gid"} or key in given:
                raise InvalidArgumentError(
                    f'selector "disk:{value}" makes no sense here', hint="there are disk:name, disk:uid and disk:gid"
                )
            given[key] = rest
        name = given.get("name", "")
        if not _NAME.fullmatch(name):
            raise InvalidArgumentError(
                f'"{name}" is no name for a folder',
                hint="one disk:name:NAME of letters, digits, dots, dashes",
            )
        return cls(name, _number(given, "uid"), _number(given, "gid"))


class DiskStore:
    """Implements SvidStore. What a crash left behind goes with the next SVID of that name."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._writing = asyncio.Lock()
        self._held: dict[str, Target] = {}

    @classmethod
    def configure(cls, data: Mapping[str, object]) -> "DiskStore":
        """From `plugin_data`.

        Raises:
            InvalidArgumentError: there is no directory.
        """
        if not data.get("directory"):
            raise InvalidArgumentError("svidstore(disk): directory is required")
        return cls(Path(str(data["directory"])))

    async def put(self, target: Sequence[str], svid: StoredSvid) -> None:
        """Store it in place of what was there.

        Raises:
            InvalidArgumentError: the target is none.
            FailedPreconditionError: something is there that is not ours, or that another target's owner reads.
            UnavailableError: it cannot be written; what was there is unharmed.
        """
        where = Target.parse(target)
        async with self._writing:
            if self._held.get(where.name, where) != where:
                raise FailedPreconditionError(f"disk:name:{where.name} is another entry's, for another user or group")
            await asyncio.to_thread(self._put, where, _files(svid))
            self._held[where.name] = where

    async def delete(self, target: Sequence[str]) -> None:
        """Remove it; nothing if it is not there.

        Raises:
            InvalidArgumentError: the target is none.
            UnavailableError: it cannot be removed.
        """
        where = Target.parse(target)
        async with self._writing:
            if self._held.get(where.name, where) != where:
                return
            await asyncio.to_thread(self._delete, where)
            self._held.pop(where.name, None)

    def _put(self, target: Target, files: Mapping[str, bytes]) -> None:
        link = self._directory / target.name
        if link.exists() and not link.is_symlink():
            raise FailedPreconditionError(f"{link} is there and is not the agent's", hint="move it away")
        made = self._directory / f".{target.name}.{secrets.token_hex(4)}"
        try:
            _make(self._directory)
            _write(made, files, target)
            _point(link, made)
        except OSError as error:
            shutil.rmtree(made, ignore_errors=True)
            raise UnavailableError(
                f"cannot write {link}: {error.strerror}", hint="what was stored before is unharmed"
            ) from error
        self._sweep(target, keep=made)

    def _delete(self, target: Target) -> None:
        link = self._directory / target.name
        try:
            if link.is_symlink():
                link.unlink()
                sync_folder(self._directory)
        except OSError as error:
            raise UnavailableError(f"cannot remove {link}: {error.strerror}") from error
        self._sweep(target, keep=None)

    def _sweep(self, target: Target, keep: Path | None) -> None:
        """Remove the folders that the name led to."""
        ours = re.compile(rf"\.{re.escape(target.name)}\.(?:[0-9a-f]{{8}}|link)")
        for path in self._directory.iterdir() if self._directory.is_dir() else ():
            if path != keep and ours.fullmatch(path.name):
                if path.is_symlink():
                    path.unlink(missing_ok=True)
                else:
                    shutil.rmtree(path, ignore_errors=True)


def _make(directory: Path) -> None:
    if not directory.is_dir():
        directory.mkdir(parents=True)
        # For those who read what is for them, whatever the daemon's umask; one that is there keeps its mode.
        directory.chmod(FOLDER_MODE)


def _write(folder: Path, files: Mapping[str, bytes], target: Target) -> None:
    folder.mkdir()
    for name, content in files.items():
        path = folder / name
        write_private(path, content)
        if target.uid >= 0 or target.gid >= 0:
            os.chown(path, target.uid, target.gid)
        if name != KEY:
            path.chmod(PUBLIC_MODE)
    folder.chmod(FOLDER_MODE)
    sync_folder(folder)


def _point(link: Path, folder: Path) -> None:
    """Have the link lead to that folder from one moment to the next."""
    new = link.with_name(f".{link.name}.link")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    new.symlink_to(folder.name)
    new.rename(link)
    sync_folder(link.parent)


def _files(svid: StoredSvid) -> dict[str, bytes]:
    key = load_der_private_key(svid.key, None)
    return {
        "svid.pem": _pem(svid.chain),
        KEY: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "bundle.pem": _pem(svid.bundle),
        **{f"federated_bundle.{domain.name}.pem": _pem(bundle) for domain, bundle in svid.federated.items()},
    }


def _pem(certificates: Iterable[bytes]) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in certificates)


def _number(given: Mapping[str, str], key: str) -> int:
    text = given.get(key)
    if text is None:
        return -1
    if not (text.isascii() and text.isdecimal()) or int(text) > _MAX_ID:
        raise InvalidArgumentError(f'selector "disk:{key}:{text}" is no number of a user or group')
    return int(text)
