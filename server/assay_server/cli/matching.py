"""Filters by selectors, as commands take them."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, TypeAlias

import typer

from assay.selector import Selector
from assay.wire import selector as wire
from assay_proto.spire.api.types.federateswith_pb2 import FederatesWithMatch
from assay_proto.spire.api.types.selector_pb2 import SelectorMatch


class Match(StrEnum):
    """How what was asked for and what is there must relate."""

    EXACT = "exact"
    ANY = "any"
    SUPERSET = "superset"
    SUBSET = "subset"


MatchSelectorsOption: TypeAlias = Annotated[
    Match, typer.Option("--match-selectors-on", help="How the selectors must match.")
]


def selector_match(selectors: Iterable[str], match: Match) -> SelectorMatch:
    """The filter; raises InvalidArgumentError for what is no selector."""
    wanted = [wire.to_proto(Selector.parse(text)) for text in selectors]
    return SelectorMatch(selectors=wanted, match=SelectorMatch.MatchBehavior.Value(f"MATCH_{match.name}"))


def federates_with_match(trust_domains: Iterable[str], match: Match) -> FederatesWithMatch:
    """The filter by federated trust domains."""
    behavior = FederatesWithMatch.MatchBehavior.Value(f"MATCH_{match.name}")
    return FederatesWithMatch(trust_domains=list(trust_domains), match=behavior)
