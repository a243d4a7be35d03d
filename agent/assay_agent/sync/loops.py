"""Those who have SVIDs signed, told together what the follower learns."""

from assay_agent.sync.follower import Signer


class SigningLoops:
    """Passes everything on to each."""

    def __init__(self, *loops: Signer) -> None:
        self._loops = loops

    def changed(self) -> None:
        """Entries have changed."""
        for loop in self._loops:
            loop.changed()

    def reachable(self) -> None:
        """The server answers again."""
        for loop in self._loops:
            loop.reachable()
