"""`assay { tasks { } }`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator

from assay.config.fields import PositiveSeconds, Seconds, Section

_LONGEST = 3600

KEEP_ENDED = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """Seconds: how long tasks last at most and are kept after their end, and how old what verifiers know may be."""

    max_duration: int = 8 * 3600
    max_ai_agent_duration: int = 3600
    keep_ended: int = KEEP_ENDED
    staleness: Mapping[str, int] = field(default_factory=lambda: StalenessSection().settings())


def _bounded(seconds: int) -> int:
    if seconds > _LONGEST:
        raise ValueError("must be an hour at most: tokens that were revoked would be taken for as long")
    return seconds


def _none(seconds: int) -> int:
    if seconds:
        raise ValueError("must be 0: such an action is never decided on old knowledge")
    return seconds


BoundedSeconds = Annotated[Seconds, AfterValidator(_bounded)]
NoSeconds = Annotated[Seconds, AfterValidator(_none)]


class StalenessSection(Section):
    """`assay { tasks { staleness { } } }`: how old knowledge of revocations may be, by class of actions."""

    non_consequential: BoundedSeconds = 300
    """While the server cannot be reached, actions of this class are taken for so long; an hour at most."""
    consequential_read: BoundedSeconds = 60
    """Likewise."""
    consequential_write: BoundedSeconds = 0
    """Likewise; 0 refuses them as soon as the server is out of reach."""
    irreversible: NoSeconds = 0
    """Always 0, as of the two that follow."""
    external_commitment: NoSeconds = 0
    """Always 0."""
    privileged_administration: NoSeconds = 0
    """Always 0."""

    def settings(self) -> Mapping[str, int]:
        """By class."""
        return {name: int(getattr(self, name)) for name in type(self).model_fields}


class TasksSection(Section):
    """`assay { tasks { } }`."""

    max_duration: PositiveSeconds = 8 * 3600
    """The longest that a task of a human, service or machine lasts, whatever is asked for."""
    max_ai_agent_duration: PositiveSeconds = 3600
    """The longest that a task of an ai_agent lasts."""
    keep_ended: PositiveSeconds = KEEP_ENDED
    """How long a task is kept after its end; what the ledger says of it stays."""
    staleness: StalenessSection = StalenessSection()

    def settings(self) -> TaskSettings:
        """As the server takes it."""
        bounds = self.staleness.settings()
        return TaskSettings(self.max_duration, self.max_ai_agent_duration, self.keep_ended, bounds)
