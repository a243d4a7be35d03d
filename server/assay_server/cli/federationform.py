"""Federation relationships as the command line has them: from flags or SPIRE's JSON, printed with SPIRE's labels."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, cast

import typer

from assay.cli.output import printable
from assay.cli.taking import Flags
from assay.errors import InvalidArgumentError, prefixed
from assay.spiffeid import SpiffeId
from assay_proto.spire.api.types.bundle_pb2 import Bundle
from assay_proto.spire.api.types.federationrelationship_pb2 import FederationRelationship
from assay_server.cli.bundleform import Format, parse_bundle, read_input

_WIDTH = 26
_WEB, _SPIFFE = "https_web", "https_spiffe"
# What SPIRE's file calls them.
_KEYS = {
    "trustDomain": "trust_domain", "bundleEndpointURL": "bundle_endpoint_url",
    "bundleEndpointProfile": "bundle_endpoint_profile", "endpointSPIFFEID": "endpoint_spiffe_id",
    "trustDomainBundleFormat": "trust_domain_bundle_format",
}  # fmt: skip
_BUNDLE = "trustDomainBundle"


@dataclass(frozen=True, kw_only=True)
class RelationshipFlags(Flags):
    """What a relationship says, for `create` and `update` alike."""

    trust_domain: Annotated[str, typer.Option(help="Whom to federate with, such as other.example.", metavar="NAME")] = (
        ""
    )
    bundle_endpoint_url: Annotated[str, typer.Option(help="Where its bundle is, over https.", metavar="URL")] = ""
    bundle_endpoint_profile: Annotated[
        str, typer.Option(help="How that server is known: https_web or https_spiffe.", metavar="PROFILE")
    ] = ""
    endpoint_spiffe_id: Annotated[str, typer.Option(help="Its SPIFFE ID, with https_spiffe.", metavar="ID")] = ""
    trust_domain_bundle_path: Annotated[
        str, typer.Option(help="The trust domain's bundle, to begin with.", metavar="FILE")
    ] = ""
    trust_domain_bundle_format: Annotated[Format, typer.Option(help="Of that bundle.")] = Format.PEM

    def relationship(self, bundle: Callable[[str], Bundle | None] | None = None) -> FederationRelationship:
        """The message; `bundle` reads the bundle of a trust domain if it is not in a file.

        Raises:
            InvalidArgumentError: something is missing, or does not parse.
        """
        if not self.trust_domain:
            raise InvalidArgumentError("trust domain is required")
        if not self.bundle_endpoint_url:
            raise InvalidArgumentError("bundle endpoint URL is required")
        made = FederationRelationship(trust_domain=self.trust_domain, bundle_endpoint_url=self.bundle_endpoint_url)
        owner = self._put_profile(made)
        found = (bundle or self._bundle)(owner)
        if found is not None:
            made.trust_domain_bundle.CopyFrom(found)
        return made

    def _put_profile(self, made: FederationRelationship) -> str:
        """Set it; the trust domain whose bundle is meant."""
        if self.bundle_endpoint_profile == _WEB:
            made.https_web.SetInParent()
            return self.trust_domain
        if self.bundle_endpoint_profile != _SPIFFE:
            hint = f"there are {_WEB} and {_SPIFFE}"
            raise InvalidArgumentError(
                f'unknown bundle endpoint profile type: "{self.bundle_endpoint_profile}"', hint=hint
            )
        if not self.endpoint_spiffe_id:
            raise InvalidArgumentError(f"endpoint SPIFFE ID is required if '{_SPIFFE}' endpoint profile is set")
        with prefixed("cannot parse bundle endpoint SPIFFE ID"):
            owner = SpiffeId.parse(self.endpoint_spiffe_id).trust_domain.name
        made.https_spiffe.endpoint_spiffe_id = self.endpoint_spiffe_id
        return owner

    def _bundle(self, owner: str) -> Bundle | None:
        if not self.trust_domain_bundle_path:
            return None
        with prefixed("cannot parse bundle file"):
            return parse_bundle(read_input(self.trust_domain_bundle_path), self.trust_domain_bundle_format, owner)


def parse_relationships(data: bytes) -> list[FederationRelationship]:
    """Relationships from `{"federationRelationships": [...]}`.

    Raises:
        InvalidArgumentError: not JSON, a key nobody knows, or something is missing or does not parse.
    """
    try:
        document: object = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidArgumentError(f"failed to parse JSON: {error}") from None
    name = "federationRelationships"
    found = cast("Mapping[str, object]", document).get(name) if isinstance(document, dict) else None
    if not isinstance(found, list):
        raise InvalidArgumentError(f'the file has no list "{name}"', hint=f'write {{"{name}": [{{...}}]}}')
    return [_parsed(at, one) for at, one in enumerate(cast("list[object]", found))]


def _parsed(at: int, value: object) -> FederationRelationship:
    with prefixed(f"could not parse item {at}"):
        if not isinstance(value, dict):
            raise InvalidArgumentError("it is no object")
        fields = cast("dict[str, Any]", value)
        if unknown := sorted(fields.keys() - _KEYS.keys() - {_BUNDLE}):
            raise InvalidArgumentError(f'unknown key "{unknown[0]}"', hint=f"there are: {', '.join((*_KEYS, _BUNDLE))}")
        if wrong := [key for key in _KEYS if not isinstance(fields.get(key, ""), str)]:
            raise InvalidArgumentError(f"{wrong[0]} must be text")
        given: dict[str, Any] = {ours: fields[theirs] for theirs, ours in _KEYS.items() if theirs in fields}
        form = _format(given.pop("trust_domain_bundle_format", ""))
        return RelationshipFlags(**given).relationship(lambda owner: _inline(fields.get(_BUNDLE), form, owner))


def _format(name: str) -> Format:
    try:
        return Format(name or Format.PEM)
    except ValueError:
        raise InvalidArgumentError(f'bundle format "{name}" is unsupported') from None


def _inline(value: object, form: Format, owner: str) -> Bundle | None:
    """PEM is text there, a SPIFFE bundle the object itself."""
    if value is None:
        return None
    if form is Format.PEM and not isinstance(value, str):
        raise InvalidArgumentError(f"{_BUNDLE} must be text", hint="or set trustDomainBundleFormat to spiffe")
    with prefixed("cannot parse bundle"):
        return parse_bundle(value.encode() if isinstance(value, str) else json.dumps(value).encode(), form, owner)


def print_relationship(one: FederationRelationship, *, err: bool = False) -> None:
    """All there is to say about it but the bundle."""
    profile = one.WhichOneof("bundle_endpoint_profile")
    rows = [
        ("Trust domain", one.trust_domain),
        ("Bundle endpoint URL", one.bundle_endpoint_url),
        ("Bundle endpoint profile", profile or ""),
    ]
    if profile == _SPIFFE:
        rows.append(("Endpoint SPIFFE ID", one.https_spiffe.endpoint_spiffe_id))
    for label, value in rows:
        typer.echo(f"{label:<{_WIDTH}}: {printable(value)}", err=err)
