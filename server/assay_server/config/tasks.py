"""`assay { tasks { } }`."""

from dataclasses import dataclass

from assay.config.fields import PositiveSeconds, Section

KEEP_ENDED = 30 * 24 * 3600


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """How many seconds tasks last at most, and for how many they are kept after their end."""

    max_duration: int = 8 * 3600
    max_ai_agent_duration: int = 3600
    keep_ended: int = KEEP_ENDED


class TasksSection(Section):
    """`assay { tasks { } }`."""

    max_duration: PositiveSeconds = 8 * 3600
    """The longest that a task of a human, service or machine lasts, whatever is asked for."""
    max_ai_agent_duration: PositiveSeconds = 3600
    """The longest that a task of an ai_agent lasts."""
    keep_ended: PositiveSeconds = KEEP_ENDED
    """How long a task is kept after its end; what the ledger says of it stays."""

    def settings(self) -> TaskSettings:
        """As the server takes it."""
        return TaskSettings(self.max_duration, self.max_ai_agent_duration, self.keep_ended)
