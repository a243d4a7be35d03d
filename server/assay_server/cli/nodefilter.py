"""Which agents: the flags of `assay node list` and `count`."""

from dataclasses import dataclass
from typing import Annotated, TypeVar

import typer
from google.protobuf.wrappers_pb2 import BoolValue

from assay.cli.options import SelectorsOption
from assay.cli.taking import Flags
from assay_proto.spire.api.server.agent.v1.agent_pb2 import CountAgentsRequest, ListAgentsRequest
from assay_server.cli.matching import Match, MatchSelectorsOption, selector_match

W = TypeVar("W", ListAgentsRequest.Filter, CountAgentsRequest.Filter)


@dataclass(frozen=True, kw_only=True)
class NodeFilterFlags(Flags):
    """What the agents must have in common; all of them if nothing is given."""

    selector: SelectorsOption = None
    match_selectors_on: MatchSelectorsOption = Match.SUPERSET
    attestation_type: Annotated[str, typer.Option(help="Only those attested so, such as x509pop.")] = ""
    banned: Annotated[bool | None, typer.Option("--banned/--not-banned", help="Only those banned, or not.")] = None
    can_reattest: Annotated[
        bool | None, typer.Option("--can-reattest/--cannot-reattest", help="Only those that can, or cannot.")
    ] = None
    expires_before: Annotated[str, typer.Option(help='Such as "2026-01-02 15:04:05 -0700 -07".')] = ""

    def where(self, blank: W) -> W:
        """That filter with what was asked for in it.

        Raises:
            InvalidArgumentError: a selector does not parse.
        """
        blank.by_attestation_type = self.attestation_type
        blank.by_expires_before = self.expires_before
        if self.selector:
            blank.by_selector_match.CopyFrom(selector_match(self.selector, self.match_selectors_on))
        if self.banned is not None:
            blank.by_banned.CopyFrom(BoolValue(value=self.banned))
        if self.can_reattest is not None:
            blank.by_can_reattest.CopyFrom(BoolValue(value=self.can_reattest))
        return blank
