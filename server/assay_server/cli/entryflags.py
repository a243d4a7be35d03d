"""The flags of `assay entry`: those that say what an entry is, and those that say which entries."""

from dataclasses import dataclass
from typing import Annotated, TypeAlias, TypeVar

import typer
from google.protobuf.wrappers_pb2 import BoolValue, StringValue

from assay.cli.options import SelectorsOption
from assay.cli.taking import Flags
from assay.namespace import server_id
from assay.selector import Selector
from assay.spiffeid import SpiffeId
from assay.wire import selector as selector_wire
from assay.wire import spiffeid as wire
from assay_proto.spire.api.server.entry.v1 import entry_pb2 as pb
from assay_proto.spire.api.types.entry_pb2 import Entry
from assay_server.cli.matching import Match, MatchSelectorsOption, federates_with_match, selector_match

MAX_INT32 = 2**31 - 1

W = TypeVar("W", pb.ListEntriesRequest.Filter, pb.CountEntriesRequest.Filter)

SpiffeIdOption: TypeAlias = Annotated[str, typer.Option("--spiffe-id", help="Whom the entry is for.", metavar="ID")]
ParentIdOption: TypeAlias = Annotated[str, typer.Option("--parent-id", help="Under which agent or node.", metavar="ID")]
EntryIdOption: TypeAlias = Annotated[str, typer.Option("--entry-id", help="The entry's own ID.", metavar="ID")]
FederatesOption: TypeAlias = Annotated[
    list[str] | None, typer.Option("--federates-with", help="A trust domain; more than once.", metavar="NAME")
]
HintOption: TypeAlias = Annotated[
    str, typer.Option("--hint", help="What the SVID is for, told to workloads that have several.")
]
TtlOption: TypeAlias = Annotated[
    int, typer.Option(help="In seconds; 0 for the server's default.", min=0, max=MAX_INT32)
]


@dataclass(frozen=True, kw_only=True)
class EntryFlags(Flags):
    """What an entry says, for `create` and `update` alike."""

    spiffe_id: SpiffeIdOption = ""
    parent_id: ParentIdOption = ""
    selector: SelectorsOption = None
    admin: Annotated[bool, typer.Option("--admin", help="Its SVID may use the server's API.")] = False
    downstream: Annotated[bool, typer.Option("--downstream", help="It is a server below this one.")] = False
    dns: Annotated[list[str] | None, typer.Option(help="A DNS name; more than once.", metavar="NAME")] = None
    federates_with: FederatesOption = None
    entry_expiry: Annotated[int, typer.Option(help="When the entry goes, in Unix seconds.", min=0)] = 0
    entry_id: EntryIdOption = ""
    x509_svid_ttl: TtlOption = 0
    jwt_svid_ttl: TtlOption = 0
    store_svid: Annotated[bool, typer.Option("--store-svid", help="An SVIDStore plugin keeps its SVID.")] = False
    hint: HintOption = ""
    disable_x509_svid_prefetch: Annotated[
        bool, typer.Option("--disable-x509-svid-prefetch", help="Make its SVID only when it is asked for.")
    ] = False
    jwt_svid_include_jti: Annotated[
        bool, typer.Option("--jwt-svid-include-jti", help="Each JWT-SVID is new and has an ID.")
    ] = False

    def entry(self, *, node: bool | None = None) -> Entry:
        """The entry; one for nodes is below the server. `node` is None where a command has no such flag.

        Raises:
            typer.BadParameter: something is missing, or does not go together.
            InvalidArgumentError: what is there does not parse.
        """
        who, parent = self._identities(node=node)
        entry = Entry(
            id=self.entry_id,
            spiffe_id=wire.to_proto(who),
            parent_id=wire.to_proto(parent),
            selectors=[selector_wire.to_proto(Selector.parse(text)) for text in self.selector or []],
            x509_svid_ttl=self.x509_svid_ttl,
            jwt_svid_ttl=self.jwt_svid_ttl,
            federates_with=self.federates_with or [],
            admin=self.admin,
            downstream=self.downstream,
            expires_at=self.entry_expiry,
            dns_names=self.dns or [],
            store_svid=self.store_svid,
            hint=self.hint,
        )
        if self.has_attributes:
            entry.additional_attributes.disable_x509_svid_prefetch = self.disable_x509_svid_prefetch
            entry.additional_attributes.jwt_svid_include_jti = self.jwt_svid_include_jti
        return entry

    @property
    def has_attributes(self) -> bool:
        """Whether one of the additional attributes was asked for."""
        return self.disable_x509_svid_prefetch or self.jwt_svid_include_jti

    def _identities(self, *, node: bool | None) -> tuple[SpiffeId, SpiffeId]:
        if not self.selector:
            raise typer.BadParameter("at least one selector is required", param_hint="--selector")
        if not self.spiffe_id:
            raise typer.BadParameter("a SPIFFE ID is required", param_hint="--spiffe-id")
        if not self.parent_id and not node:
            unless = "" if node is None else " if --node is not set"
            raise typer.BadParameter(f"a parent ID is required{unless}", param_hint="--parent-id")
        if node and self.federates_with:
            raise typer.BadParameter("node entries can not federate", param_hint="--federates-with")
        who = SpiffeId.parse(self.spiffe_id)
        if node:
            return who, server_id(who.trust_domain)
        return who, SpiffeId.parse(self.parent_id)


@dataclass(frozen=True, kw_only=True)
class FilterFlags(Flags):
    """Which entries, for `show` and `count` alike."""

    spiffe_id: SpiffeIdOption = ""
    parent_id: ParentIdOption = ""
    selector: SelectorsOption = None
    match_selectors_on: MatchSelectorsOption = Match.SUPERSET
    federates_with: FederatesOption = None
    match_federates_with_on: Annotated[Match, typer.Option(help="How the trust domains must match.")] = Match.SUPERSET
    downstream: Annotated[bool, typer.Option("--downstream", help="Only those of servers below this one.")] = False
    hint: HintOption = ""

    def where(self, blank: W) -> W:
        """That filter with what was asked for in it.

        Raises:
            InvalidArgumentError: an ID or a selector does not parse.
        """
        if self.spiffe_id:
            blank.by_spiffe_id.CopyFrom(wire.to_proto(SpiffeId.parse(self.spiffe_id)))
        if self.parent_id:
            blank.by_parent_id.CopyFrom(wire.to_proto(SpiffeId.parse(self.parent_id)))
        if self.selector:
            blank.by_selectors.CopyFrom(selector_match(self.selector, self.match_selectors_on))
        if self.federates_with:
            blank.by_federates_with.CopyFrom(federates_with_match(self.federates_with, self.match_federates_with_on))
        if self.downstream:
            blank.by_downstream.CopyFrom(BoolValue(value=True))
        if self.hint:
            blank.by_hint.CopyFrom(StringValue(value=self.hint))
        return blank
