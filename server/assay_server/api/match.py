"""How filters match sets, as the store takes it."""

from assay.errors import InvalidArgumentError
from assay_server.datastore.base import Match


def match_from_proto(number: int) -> Match:
    """The behaviour of that number.

    Raises:
        InvalidArgumentError: there is none.
    """
    try:
        return Match(number)
    except ValueError:
        raise InvalidArgumentError(f"unhandled match behavior {number}") from None
