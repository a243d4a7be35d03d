"""A package of plugins as somebody else would write it: read, installed and run, never imported, by the tests."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.errors import InvalidArgumentError, UnavailableError
from assay.keymanager.base import KeyType, SigningKey
from assay.keymanager.memory import MemoryKeyManager
from assay.plugin.external import Host
from assay.plugin.nodeattestor import AttestedNode
from assay.plugin.svidstore import StoredSvid
from assay.selector import Selector
from assay.spiffeid import SpiffeId


class ProgramAttestor:
    """Selectors `acme:comm:NAME`: what a process calls itself."""

    name = "acme"

    def __init__(self, data: Mapping[str, object], host: Host) -> None:
        del host
        for key in data.keys() - {"prefix"}:
            raise InvalidArgumentError(f"unknown key {key}")
        self._prefix = str(data.get("prefix", ""))

    async def attest(self, pid: int) -> tuple[Selector, ...]:
        try:
            comm = Path(f"/proc/{pid}/comm").read_text().strip()  # noqa: ASYNC240 - of a file that is in memory
        except OSError as error:
            raise UnavailableError(f"no such process: {error.strerror}") from None
        return (Selector(self.name, f"comm:{self._prefix}{comm}"),)


@dataclass(frozen=True)
class Password:
    """One attestation by a password; the challenge is a salt that the answer begins with."""

    payload: bytes
    password: str

    async def answer(self, challenge: bytes) -> bytes:
        if not challenge:
            raise UnavailableError("there is no salt in the challenge")
        return challenge + self.password.encode()


class PasswordAttestor:
    """The agent's end."""

    type = "acme"

    def __init__(self, data: Mapping[str, object], host: Host) -> None:
        del host
        self._name, self._password = str(data["name"]), str(data["password"])

    async def begin(self) -> Password:
        return Password(self._name.encode(), self._password)


class PasswordJudge:
    """The server's end."""

    def __init__(self, data: Mapping[str, object], host: Host) -> None:
        self._trust_domain = host.trust_domain
        self._password = str(data["password"])

    async def attest(self, payload: bytes, challenge: Callable[[bytes], Awaitable[bytes]]) -> AttestedNode:
        name = payload.decode(errors="replace")
        if await challenge(b"salt") != b"salt" + self._password.encode():
            raise InvalidArgumentError("wrong password")
        agent = SpiffeId(self._trust_domain, f"/spire/agent/acme/{name}")
        return AttestedNode(agent, (Selector("acme", f"name:{name}"),), can_reattest=True)


class CountingKeys:
    """A key manager that leaves a trace in its file."""

    def __init__(self, data: Mapping[str, object], host: Host) -> None:
        self._keys = MemoryKeyManager()
        self._trace = Path(str(data.get("trace", host.data_dir / "acme-keys")))

    async def generate(self, key_id: str, key_type: KeyType) -> SigningKey:
        with self._trace.open("a") as trace:
            trace.write(f"{key_id}\n")
        return await self._keys.generate(key_id, key_type)

    async def get(self, key_id: str) -> SigningKey | None:
        return await self._keys.get(key_id)


class FolderStore:
    """An SVID store: the SPIFFE ID in a file named by the target."""

    def __init__(self, data: Mapping[str, object], host: Host) -> None:
        self._folder = Path(str(data.get("folder", host.data_dir)))

    async def put(self, target: Sequence[str], svid: StoredSvid) -> None:
        self._path(target).write_text(str(svid.spiffe_id))

    async def delete(self, target: Sequence[str]) -> None:
        self._path(target).unlink(missing_ok=True)

    def _path(self, target: Sequence[str]) -> Path:
        names = [one.removeprefix("name:") for one in target if one.startswith("name:")]
        if len(names) != 1 or not names[0].isalnum():
            raise InvalidArgumentError("a target is name:NAME")
        return self._folder / names[0]
