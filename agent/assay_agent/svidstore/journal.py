"""What lies in SVID stores by our hand, on disk, so that nothing stays there for want of a memory of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from assay.errors import FailedPreconditionError, UnavailableError
from assay.files import write_private
from assay_agent.svidstore.plan import Place


class Journal:
    """Places by entry ID. A change is on disk when its method returns; one that fails leaves all as it was.

    Raises:
        FailedPreconditionError: the file is there and damaged or unreadable.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = _load(path)

    @property
    def held(self) -> Mapping[str, Place]:
        """What may be in the stores."""
        return self._held

    def add(self, entry_id: str, place: Place) -> None:
        """To be called before anything is put there.

        Raises:
            UnavailableError: it cannot be written.
        """
        if self._held.get(entry_id) != place:
            self._write({**self._held, entry_id: place})

    def remove(self, entry_id: str) -> None:
        """To be called when nothing is left there.

        Raises:
            UnavailableError: it cannot be written.
        """
        self._write({other: place for other, place in self._held.items() if other != entry_id})

    def _write(self, held: Mapping[str, Place]) -> None:
        document = {entry_id: {"store": one.store, "target": list(one.target)} for entry_id, one in held.items()}
        try:
            write_private(self._path, json.dumps(document, indent=1).encode())
        except OSError as error:
            raise UnavailableError(f"cannot write {self._path}: {error.strerror}", hint="make room") from error
        self._held = held


def _load(path: Path) -> Mapping[str, Place]:
    try:
        document = json.loads(path.read_bytes())
        return {str(entry_id): _place(one) for entry_id, one in cast("Mapping[str, object]", document).items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise FailedPreconditionError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise FailedPreconditionError(
            f"{path} is damaged: {error}",
            hint="move it away and look through the SVID stores for what no entry asks for any more",
        ) from error


def _place(value: object) -> Place:
    fields = cast("Mapping[str, object]", value)
    target = fields["target"]
    if not isinstance(fields["store"], str) or not isinstance(target, list):
        raise TypeError("no store, or no target")
    return Place(fields["store"], tuple(map(str, cast("list[object]", target))))
