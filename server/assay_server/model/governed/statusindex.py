"""Where in which status list a credential is: lists follow each other without end, each as long as the others.

The index is the number of the change that writes the credential down (docs/adr/0009-*.md): no two have the same, and
nothing more has to be written.
"""

LIST_LENGTH = 2**17
"""Places in one list; every change of the store takes one, so that a few in a hundred are credentials'."""


def list_of(index: int) -> int:
    """The number of the list."""
    return index // LIST_LENGTH


def place_of(index: int) -> int:
    """The place in that list, from 0 on."""
    return index % LIST_LENGTH
