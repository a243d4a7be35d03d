"""How far the change sequence has been looked through for what changes answers of policy."""

from dataclasses import dataclass

from assay_server.model.governed.noun import Noun


@dataclass(frozen=True, slots=True)
class DriftPosition:
    """Whatever was written until then has been held against all live tasks, by a server with that shipped policy."""

    sequence: int
    shipped: str


DRIFT_POSITION = Noun("drift_position", DriftPosition, key=lambda _: "drift")
