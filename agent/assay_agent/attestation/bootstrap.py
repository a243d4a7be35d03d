"""What the agent trusts the server by before it knows the server's bundle: where that first bundle comes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from assay.bundle import jwks, pem
from assay.errors import FailedPreconditionError, InvalidArgumentError
from assay.spiffeid import TrustDomain


@dataclass(frozen=True, slots=True)
class Attempt:
    """Which time the source is asked, counted from 1 since `started` (Unix seconds).

    `again` if the agent knew the server and has lost it.
    """

    number: int
    started: float
    again: bool


class BundleSource(Protocol):
    """Where the bundle comes from while the agent has none of its own. `remote` if somebody else is asked for it."""

    @property
    def remote(self) -> bool:
        """Whether each attempt is worth a line in the log."""
        ...

    async def fetch(self, attempt: Attempt) -> tuple[bytes, ...]:
        """X.509 authorities as DER; none when the server is believed whoever it is.

        Raises:
            AssayError: there is no bundle to be had now, or it holds no authority.
        """
        ...


@dataclass(frozen=True, slots=True)
class BundleFormat:
    """How a bundle is written: PEM certificates, or the trust domain's SPIFFE bundle document."""

    trust_domain: TrustDomain
    spiffe: bool = False

    def parse(self, content: bytes, place: str) -> tuple[bytes, ...]:
        """The X.509 authorities (DER) in `content`, which is from `place`.

        Raises:
            FailedPreconditionError: it cannot be read, or there are none.
        """
        try:
            found = jwks.parse(self.trust_domain, content).x509_authorities if self.spiffe else pem.parse(content)
        except InvalidArgumentError as error:
            raise FailedPreconditionError(
                f"could not parse trust bundle: {error.message}", hint=error.hint or f"it is from {place}"
            ) from error
        return some([one.der for one in found], place)


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file (`trust_bundle_path`), read each time."""

    path: Path
    format: BundleFormat
    remote: bool = False

    async def fetch(self, attempt: Attempt) -> tuple[bytes, ...]:
        """What the file holds now."""
        del attempt
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise FailedPreconditionError(
                f"could not parse trust bundle: {error}", hint=f"trust_bundle_path is {self.path}"
            ) from error
        return self.format.parse(content, f"trust_bundle_path, {self.path}")


@dataclass(frozen=True, slots=True)
class InsecureSource:
    """Nobody: the first server to answer is believed (`insecure_bootstrap`)."""

    remote: bool = False

    async def fetch(self, attempt: Attempt) -> tuple[bytes, ...]:
        """No authorities."""
        del attempt
        return ()


def some(authorities: Sequence[bytes], place: str) -> tuple[bytes, ...]:
    """The authorities, if there are any; raises FailedPreconditionError."""
    if not authorities:
        raise FailedPreconditionError("no certificates found in trust bundle", hint=f"{place} has no X.509 authority")
    return tuple(authorities)
