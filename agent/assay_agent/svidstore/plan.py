"""Which SVIDs go where: all decisions, no I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from assay.entry import Entry
from assay.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A store by name, and the target in it."""

    store: str
    target: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where each entry's SVID goes, by entry ID; why some go nowhere."""

    places: Mapping[str, Place]
    refused: Mapping[str, str]


def place_of(entry: Entry) -> Place:
    """The selectors' type is the store's name, their values are the target.

    Raises:
        InvalidArgumentError: there are none, or of several types.
    """
    types = {selector.type for selector in entry.selectors}
    if len(types) != 1:
        why = "selector contains multiple types" if types else "no selectors found"
        raise InvalidArgumentError(why)
    return Place(types.pop(), tuple(selector.value for selector in entry.selectors))


def assign(entries: Iterable[Entry], stores: Iterable[str]) -> Assignment:
    """Of several entries with one place the first by ID has it: another's key must not come and go there."""
    known = frozenset(stores)
    taken: dict[Place, str] = {}
    refused: dict[str, str] = {}
    for entry in sorted(entries, key=lambda one: one.id):
        try:
            place = place_of(entry)
        except InvalidArgumentError as error:
            refused[entry.id] = f"invalid store name in selectors: {error.message}"
            continue
        if place.store not in known:
            refused[entry.id] = f'no SVIDStore plugin "{place.store}" is configured'
        elif taken.setdefault(place, entry.id) != entry.id:
            refused[entry.id] = f"entry {taken[place]} has the same selectors"
    return Assignment({entry_id: place for place, entry_id in taken.items()}, refused)


def outdated(held: Mapping[str, Place], places: Mapping[str, Place]) -> tuple[tuple[str, Place], ...]:
    """What is held for entries that have gone, or that go elsewhere by now."""
    return tuple((entry_id, place) for entry_id, place in held.items() if places.get(entry_id) != place)
