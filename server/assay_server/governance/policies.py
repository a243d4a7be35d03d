"""The live policy, as everything that decides asks for it."""

from typing import Protocol

from assay_server.policy.engine import Policy, shipped


class LivePolicy(Protocol):
    """Where the policy comes from."""

    @property
    def live(self) -> Policy:
        """The bundle that decides now (UnavailableError when there is none that can be read)."""
        ...


class Policies:
    """The shipped set."""

    def __init__(self) -> None:
        self._live = shipped()

    @property
    def live(self) -> Policy:
        """The bundle that decides now."""
        return self._live
