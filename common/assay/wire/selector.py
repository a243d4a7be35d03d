"""Selectors as spire.api.types.Selector."""

from collections.abc import Iterable

from assay.selector import Selector, sorted_distinct
from assay_proto.spire.api.types import selector_pb2


def to_proto(selector: Selector) -> selector_pb2.Selector:
    """One message."""
    return selector_pb2.Selector(type=selector.type, value=selector.value)


def from_proto(message: selector_pb2.Selector) -> Selector:
    """One value.

    Raises:
        InvalidArgumentError: no type, a colon in the type, or no value.
    """
    return Selector(message.type, message.value)


def set_from_proto(messages: Iterable[selector_pb2.Selector]) -> tuple[Selector, ...]:
    """Sorted and distinct, as entries and nodes hold them."""
    return sorted_distinct(map(from_proto, messages))
