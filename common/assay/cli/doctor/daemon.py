"""What a daemon's package tells `assay doctor` of itself, by an entry point of the group `assay.doctor`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.config.fault import Fault
from assay.spiffeid import TrustDomain

ENTRY_POINTS = "assay.doctor"


@dataclass(frozen=True, slots=True)
class Certificates:
    """A file that holds certificates, and how to read them (DER) from its content; `what` is a phrase for people.

    `parse` raises AssayError when the content is damaged; it may find none. `renewal` is how others get into it.
    """

    what: str
    path: Path
    parse: Callable[[bytes], Sequence[bytes]]
    renewal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a valid configuration says that can be looked at.

    `keys` are for their owner alone, `private` for its group too; such files need not exist. `address` is where the
    server listens, as seen from here. `bundles` are what the server's certificate must hold against, `svid` is the
    daemon's own.
    """

    warnings: Sequence[Fault]
    trust_domain: TrustDomain
    data_dir: Path
    socket: Path
    address: tuple[str, int]
    keys: Sequence[Path] = ()
    private: Sequence[Path] = ()
    bundles: Sequence[Certificates] = ()
    svid: Certificates | None = None


@dataclass(frozen=True, slots=True)
class Daemon:
    """One daemon: its name, where things are by default, and the reader of its configuration.

    A `public` socket is for every user of the machine, any other for the daemon's user and group.
    """

    name: str
    default_config: Path
    default_socket: Path
    public: bool
    load: Callable[[Path, Mapping[str, str] | None], Setup]
    """Takes the file and the variables to expand; raises ConfigError with every fault."""
