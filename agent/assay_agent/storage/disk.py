"""The agent's data folder."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from assay.errors import FailedPreconditionError, UnavailableError
from assay.files import write_private
from assay_agent.storage.data import REBOOTSTRAP, AgentData, decode, encode, format_time

FILE_NAME = "agent-data.json"


class AgentStorage:
    """The agent's own state in `agent-data.json`, readable by its owner alone; a SPIRE agent's is taken over as it is.

    A change is on disk when its method returns; if the disk is full (UnavailableError), file and `data` are as before.

    Raises:
        FailedPreconditionError: the file is there and damaged or unreadable.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE_NAME
        self.data = _load(self._path)

    def store_svid(self, chain: Sequence[bytes], *, reattestable: bool) -> None:
        """Keep the agent's SVID (DER, leaf first) and whether its node may attest again."""
        self._store(replace(self.data, svid=tuple(chain), reattestable=reattestable))

    def delete_svid(self) -> None:
        """Forget the SVID and keep the bundle: the next start attests anew."""
        self._store(replace(self.data, svid=(), reattestable=False))

    def store_bundle(self, authorities: Sequence[bytes]) -> None:
        """Keep the trust domain's X.509 authorities (DER)."""
        if tuple(authorities) != self.data.bundle:
            self._store(replace(self.data, bundle=tuple(authorities)))

    def store_bootstrap(self, use: int, started: float | None, attempts: int) -> None:
        """Keep how far getting to know the server has come; `started` is in Unix seconds, None if that is over."""
        self._store(
            replace(
                self.data,
                bootstrap_use=use,
                bootstrap_start_time=format_time(started),
                connection_attempts=attempts,
            )
        )

    def lose_trust(self, now: float) -> None:
        """Forget SVID and bundle: the next start asks the bundle's source and attests anew."""
        self._store(AgentData(bootstrap_use=REBOOTSTRAP, bootstrap_start_time=format_time(now)))

    def _store(self, data: AgentData) -> None:
        try:
            write_private(self._path, encode(data))
        except OSError as error:
            raise UnavailableError(
                f"failed to write data file: {error}", hint="what was stored before is intact"
            ) from error
        self.data = data


def _load(path: Path) -> AgentData:
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        return AgentData()
    except FailedPreconditionError as error:
        raise FailedPreconditionError(
            f"failed to open storage: {error.message}", hint=f"restore {path}, or remove it to attest this node anew"
        ) from error
    except OSError as error:
        raise FailedPreconditionError(f"failed to open storage: failed to read data: {error}") from error
